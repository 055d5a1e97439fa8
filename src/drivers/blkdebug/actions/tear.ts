/** `tear`: only the first sectors of a write arrive; it is acknowledged as a whole. */
import { SECTOR_BYTES } from '../../../block/flags.ts';
import type { Steps } from '../../../util/steps.ts';
import { parseCount } from '../rules/numbers.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, type Fault, FaultRule } from './fault.ts';

class TearRule extends FaultRule {
  readonly kind = 'tear';
  readonly effect: string;
  readonly #sectors: number;

  constructor(settings: RuleSettings) {
    super(settings, ['write', 'write-zeroes']);
    this.#sectors = parseCount('sectors', settings.sectors ?? '');
    this.effect = `after sector ${this.#sectors}`;
  }

  *act(request: DiskRequest, disk: Disk): Steps<void> {
    const bytes = Math.min(request.bytes, this.#sectors * SECTOR_BYTES);
    yield disk.forward({ ...request, bytes, data: request.data?.subarray(0, bytes) ?? null });
  }
}

/** Writes that are torn. */
export const tear: Fault = {
  settings: { sector: [], sectors: [], iotype: ['write', 'write-zeroes'], once: ['on', 'off'] },
  needed: ['sectors'],
  make: (settings) => new TearRule(settings),
};
