/** `hang`: the request waits until it is resumed or cancelled; it is listed as suspended. */
import type { Steps } from '../../../util/steps.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, type Fault, FaultRule } from './fault.ts';

const ioTypes = ['read', 'write', 'write-zeroes', 'discard', 'flush'] as const;

class HangRule extends FaultRule {
  readonly kind = 'hang';
  readonly effect: string;
  override readonly tag: string;

  constructor(settings: RuleSettings) {
    super(settings, ioTypes);
    this.tag = settings.tag ?? 'hang';
    this.effect = this.tag;
  }

  *act(request: DiskRequest, disk: Disk): Steps<void> {
    yield* disk.suspend(this.tag);
    yield disk.forward(request);
  }
}

/** Requests that a disk does not answer. */
export const hang: Fault = {
  settings: { sector: [], tag: [], iotype: ioTypes, once: ['on', 'off'] },
  needed: [],
  make: (settings) => new HangRule(settings),
};
