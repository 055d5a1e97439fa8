/** `bad-sector`: reads that touch the sectors fail until these are written. */
import { invalidArgument } from '../../../block/error.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { alignDown, alignUp } from '../../../util/align.ts';
import { errnoName } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { type Condition, IoType } from '../rules/condition.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, errnoOfFault, type Fault, FaultRule } from './fault.ts';

/** Bytes from `from` to before `to`, whole sectors. */
interface Extent {
  readonly from: number;
  readonly to: number;
}

/** The sectors that the settings name. EINVAL if they name none. */
function namedExtent({ sector, offset }: RuleSettings): Extent {
  if (offset !== undefined) {
    return { from: alignDown(offset.from, SECTOR_BYTES), to: alignUp(offset.to, SECTOR_BYTES) };
  }
  if (sector === undefined) throw invalidArgument("bad-sector needs 'sector' or 'offset'");
  const from = Number(sector) * SECTOR_BYTES;
  return { from, to: from + SECTOR_BYTES };
}

const notBad: Condition = { name: 'sector', unmet: () => 'touches no bad sector' };

class BadSectorRule extends FaultRule {
  readonly kind = 'bad-sector';
  readonly effect: string;
  readonly #errno: number;
  readonly #named: Extent;
  #bad: readonly Extent[];

  constructor(settings: RuleSettings) {
    super(settings, ['read', 'write', 'write-zeroes']);
    if (settings.sector !== undefined && settings.offset !== undefined) {
      throw invalidArgument("bad-sector has 'sector' or 'offset', not both");
    }
    this.#named = namedExtent(settings);
    this.#bad = [this.#named];
    this.#errno = errnoOfFault(settings);
    this.effect = errnoName(this.#errno) ?? String(this.#errno);
  }

  /** Writes go on, and are not counted. */
  override unmetBy(ioType: IoType, offset: number, bytes: number): Condition | null {
    if (!this.#bad.some(({ from, to }) => from < offset + bytes && to > offset)) return notBad;
    return this.#heals(ioType) ? null : super.unmetBy(ioType, offset, bytes);
  }

  #heals(ioType: IoType): boolean {
    return ioType === IoType.WRITE || ioType === IoType.WRITE_ZEROES;
  }

  override spoils(ioType: IoType): boolean {
    return !this.#heals(ioType);
  }

  *act(request: DiskRequest, disk: Disk): Steps<void> {
    if (!this.#heals(request.ioType)) disk.fail(this.#errno);
    yield disk.forward(request);
    this.#heal(alignUp(request.offset, SECTOR_BYTES), alignDown(request.offset + request.bytes, SECTOR_BYTES));
  }

  #heal(start: number, end: number): void {
    if (start >= end) return;
    this.#bad = this.#bad.flatMap(({ from, to }) =>
      [
        { from, to: Math.min(to, start) },
        { from: Math.max(from, end), to },
      ].filter((rest) => rest.from < rest.to),
    );
  }

  override get isExhausted(): boolean {
    return this.#bad.length === 0 || super.isExhausted;
  }

  override restartCounting(): void {
    super.restartCounting();
    this.#bad = [this.#named];
  }
}

/** Sectors that cannot be read, each until it is written as a whole. */
export const badSector: Fault = {
  settings: { sector: [], errno: ['EIO', 'EILSEQ'] },
  needed: [],
  make: (settings) => new BadSectorRule(settings),
};
