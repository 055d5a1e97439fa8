/** The common part of faults: rules that spoil a request instead of failing it. QEMU's blkdebug has none of them. */
import type { FaultKind } from '../../../block/debug/rules.ts';
import { invalidArgument } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import type { IoType, IoTypeName } from '../rules/condition.ts';
import { RequestRule } from '../rules/request-rule.ts';
import type { RuleSettings, SettingName } from '../rules/settings.ts';

/** A request to the node below, as a fault gets and forwards it. Offset and length are in bytes of the file below. */
export interface DiskRequest {
  readonly ioType: IoType;
  readonly offset: number;
  /** 0 for a flush. */
  readonly bytes: number;
  /** The bytes to write, or where to read to; null for requests without data. */
  readonly data: Buffer | null;
  /** Bits of `Req`. */
  readonly flags: number;
}

/** The node below, as faults use it. */
export interface Disk {
  /** Length in bytes. */
  readonly bytes: number;
  /** Passes a request on. */
  forward(request: DiskRequest): Pending;
  /** Fails the request. */
  fail(errno: number): never;
  /** Takes all that was written for flushed, without a flush. */
  pretendFlushed(): void;
  /** Suspends the running request under a tag until it is resumed. ECANCELED if it is cancelled meanwhile. */
  suspend(tag: string): Steps<void>;
}

/** A rule of this sort. */
export abstract class FaultRule extends RequestRule {
  abstract override readonly kind: FaultKind;
  /** Its action in a few words, for lists. */
  abstract readonly effect: string;

  /** `usual` are the kinds of I/O that it acts on by default, `others` those that `iotype` may name as well. */
  constructor(settings: RuleSettings, usual: readonly IoTypeName[], others: readonly IoTypeName[] = []) {
    const { iotype } = settings;
    if (iotype !== undefined && !usual.includes(iotype) && !others.includes(iotype)) {
      throw invalidArgument(`'iotype' expects ${[...usual, ...others].join(', ')}, not '${iotype}'`);
    }
    super(settings, iotype === undefined ? usual : [iotype]);
  }

  /** Does what the request comes to, in its place. */
  abstract act(request: DiskRequest, disk: Disk): Steps<void>;

  /** Whether acting on such a request spoils it, and counts. */
  spoils(_ioType: IoType): boolean {
    return true;
  }
}

/** The error of a fault that fails requests, EIO if the settings name none. EINVAL for what is no error. */
export function errnoOfFault({ errno = Errno.EIO }: RuleSettings): number {
  if (errno <= 0) throw invalidArgument(`'errno' expects an error, not '${errno}'`);
  return errno;
}

/** A kind of fault: its settings beyond those of all rules, and how one is made. */
export interface Fault {
  /** By name, with the values that completion offers. */
  readonly settings: Readonly<Partial<Record<SettingName, readonly string[]>>>;
  readonly needed: readonly SettingName[];
  /** EINVAL for settings that make no sense. */
  readonly make: (settings: RuleSettings) => FaultRule;
}
