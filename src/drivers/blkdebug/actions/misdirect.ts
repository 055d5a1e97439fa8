/** `misdirect`: the request goes to another offset. */
import { invalidArgument } from '../../../block/error.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { Errno } from '../../../util/errno.ts';
import { parseSize } from '../../../util/size.ts';
import type { Steps } from '../../../util/steps.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, type Fault, FaultRule } from './fault.ts';

function parseTarget(text: string): number {
  const offset = parseSize(text);
  if (typeof offset !== 'number' || offset % SECTOR_BYTES !== 0) {
    throw invalidArgument(`'to' expects an offset in bytes, a multiple of ${SECTOR_BYTES}, not '${text}'`);
  }
  return offset;
}

class MisdirectRule extends FaultRule {
  readonly kind = 'misdirect';
  readonly effect: string;
  readonly #to: number;

  constructor(settings: RuleSettings) {
    super(settings, ['read', 'write', 'write-zeroes']);
    this.#to = parseTarget(settings.to ?? '');
    this.effect = `to ${settings.to}`;
  }

  /** A disk does not grow by a wrong address. */
  *act(request: DiskRequest, disk: Disk): Steps<void> {
    if (this.#to + request.bytes > disk.bytes) disk.fail(Errno.EIO);
    yield disk.forward({ ...request, offset: this.#to });
  }
}

/** Requests that read or write at a wrong place; EIO if that is behind the end of the file below. */
export const misdirect: Fault = {
  settings: { sector: [], to: [], iotype: ['read', 'write', 'write-zeroes'], once: ['on', 'off'] },
  needed: ['to'],
  make: (settings) => new MisdirectRule(settings),
};
