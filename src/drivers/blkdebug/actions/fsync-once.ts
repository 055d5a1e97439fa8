/**
 * `fsync-once`: one flush fails, and the next one succeeds without having flushed anything, as that of a host whose
 * page cache drops what it could not write.
 */
import { errnoName } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Condition } from '../rules/condition.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, errnoOfFault, type Fault, FaultRule } from './fault.ts';

class FsyncOnceRule extends FaultRule {
  readonly kind = 'fsync-once';
  readonly effect: string;
  readonly #errno: number;
  #flushes = 0;

  constructor(settings: RuleSettings) {
    super(settings, ['flush']);
    this.#errno = errnoOfFault(settings);
    this.effect = `${errnoName(this.#errno) ?? this.#errno}, then a lie`;
  }

  override countThisTime(): Condition | null {
    const unmet = super.countThisTime();
    if (unmet === null) this.#flushes += 1;
    return unmet;
  }

  override get isExhausted(): boolean {
    return this.#flushes >= 2 || super.isExhausted;
  }

  override restartCounting(): void {
    super.restartCounting();
    this.#flushes = 0;
  }

  // oxlint-disable-next-line eslint/require-yield -- nothing is waited for
  *act(_request: DiskRequest, disk: Disk): Steps<void> {
    if (this.#flushes < 2) disk.fail(this.#errno);
    disk.pretendFlushed();
  }
}

/** A failed flush and a lie after it. */
export const fsyncOnce: Fault = {
  settings: { errno: ['EIO', 'ENOSPC', 'EDQUOT'] },
  needed: [],
  make: (settings) => new FsyncOnceRule(settings),
};
