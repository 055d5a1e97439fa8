/** `drop`: the request is acknowledged and never reaches the disk. */
import type { Steps } from '../../../util/steps.ts';
import { IoType } from '../rules/condition.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, type Fault, FaultRule } from './fault.ts';

class DropRule extends FaultRule {
  readonly kind = 'drop';
  readonly effect: string;

  constructor(settings: RuleSettings) {
    super(settings, ['write', 'write-zeroes', 'discard'], ['flush']);
    this.effect = settings.iotype === 'flush' ? 'not flushed' : 'not written';
  }

  // oxlint-disable-next-line eslint/require-yield -- nothing is waited for
  *act({ ioType }: DiskRequest, disk: Disk): Steps<void> {
    if (ioType === IoType.FLUSH) disk.pretendFlushed();
  }
}

/** Changes that are lost without an error; with iotype=flush, flushes. */
export const drop: Fault = {
  settings: { sector: [], iotype: ['write', 'write-zeroes', 'discard', 'flush'], once: ['on', 'off'] },
  needed: [],
  make: (settings) => new DropRule(settings),
};
