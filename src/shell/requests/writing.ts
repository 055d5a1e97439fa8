/** Writes of data: the options, the request and the report that `write`, `writev` and `aio_write` share. */
import { Req } from '../../block/flags.ts';
import type { Pending } from '../../util/steps.ts';
import { refuse } from '../failure.ts';
import type { Lease } from '../data/buffer-pool.ts';
import { printDone, type ReportOptions } from '../output/request-report.ts';
import type { SessionState } from '../session-state.ts';
import { patternArgument, type Size } from '../words/arguments.ts';
import { flag, setting } from '../words/option-table.ts';
import type { Request } from './run-request.ts';

export const forceUnitAccess = flag('f', 'be on stable storage before the write ends (FUA)');
export const mayUnmap = flag('u', 'with -z: allow the space to be freed');
export const zeroes = flag('z', 'write zeroes without data');
export const pattern = setting('P', 'pattern', 'the value of every byte, in place of 0xcd', patternArgument);

/** The value of every byte that is written, where no other is given. */
export const DEFAULT_PATTERN = 0xcd;

/** Options that become bits of `Req`. */
interface FlagOptions {
  readonly forceUnitAccess?: boolean;
  readonly mayUnmap?: boolean;
  readonly noFallback?: boolean;
}

/** The bits of `Req` for a write. */
export function requestFlags(options: FlagOptions): number {
  return (
    (options.forceUnitAccess === true ? Req.FUA : 0) |
    (options.mayUnmap === true ? Req.MAY_UNMAP : 0) |
    (options.noFallback === true ? Req.NO_FALLBACK : 0)
  );
}

/** Zeroes have no buffer to be registered. */
export function refuseRegisteredZeroes(
  session: SessionState,
  options: { readonly zeroes: boolean; readonly registered: boolean },
): void {
  if (options.zeroes && options.registered) {
    throw refuse(session, 'cannot combine zero write with registered I/O buffer');
  }
}

/** Where and how a write goes. */
export interface WritePlace {
  readonly name: string;
  readonly offset: Size;
  readonly bytes: Size;
  /** The data; null writes zeroes without data. */
  readonly lease: Lease | null;
  /** Bits of `Req`. */
  readonly flags: number;
  readonly target: 'guest' | 'compressed' | 'vm-state';
}

/** A write and its report. */
export class WriteRequest implements Request {
  readonly place: WritePlace;
  readonly lease: Lease | null;
  readonly options: ReportOptions;
  startNs: number;

  constructor(place: WritePlace, options: ReportOptions) {
    this.place = place;
    this.lease = place.lease;
    this.options = options;
    this.startNs = 0;
  }

  begin({ image }: SessionState): Pending {
    const { lease, bytes, flags, target } = this.place;
    const offset = Number(this.place.offset);
    if (lease === null) return image.pwriteZeroes(offset, Number(bytes), flags);
    if (target === 'vm-state') return image.saveVmState(offset, lease.data);
    if (target === 'compressed') return image.pwriteCompressed(offset, lease.data);
    return image.pwrite(offset, lease.data, flags);
  }

  done(session: SessionState, ns: number): Pending {
    printDone(session, 'wrote', this.place, this.options, ns);
    return undefined;
  }
}
