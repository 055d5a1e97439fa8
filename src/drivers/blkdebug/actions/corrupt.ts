/** `corrupt`: bytes change on their way: those that are read, or those that reach the disk. No error tells of it. */
import { invalidArgument } from '../../../block/error.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { assert } from '../../../util/assert.ts';
import type { Steps } from '../../../util/steps.ts';
import { Draws, parseCount } from '../rules/numbers.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { type Disk, type DiskRequest, type Fault, FaultRule } from './fault.ts';

const manners = ['bits', 'zeroes', 'noise'] as const;
type Manner = (typeof manners)[number];
const places = ['read', 'disk'] as const;
type Place = (typeof places)[number];
/** The flipped bits of a request are remembered while they are drawn. */
const BITS_MAX = 65_536;

function choose<T extends string>(name: string, text: string, values: readonly T[]): T {
  const value = values.find((one) => one === text);
  if (value === undefined) throw invalidArgument(`'${name}' expects ${values.join(', ')}, not '${text}'`);
  return value;
}

class CorruptRule extends FaultRule {
  readonly kind = 'corrupt';
  readonly effect: string;
  readonly #how: Manner;
  readonly #on: Place;
  readonly #bits: number;
  readonly #draws = new Draws();

  constructor(settings: RuleSettings) {
    const { how = 'bits', on = 'read', bits } = settings;
    const place = choose('on', on, places);
    super(settings, [place === 'read' ? 'read' : 'write']);
    this.#how = choose('how', how, manners);
    this.#on = place;
    if (bits !== undefined && this.#how !== 'bits') throw invalidArgument("'bits' goes with how=bits");
    this.#bits = parseCount('bits', bits ?? '1', BITS_MAX);
    this.effect = `${this.#how} on ${this.#on}`;
  }

  /** A rule with the same seed corrupts the same requests alike; without one the rule's number counts. */
  override restartCounting(): void {
    super.restartCounting();
    this.#draws.restart(this.settings.seed ?? this.number);
  }

  *act(request: DiskRequest, disk: Disk): Steps<void> {
    assert(request.data !== null, 'reads and writes have data');
    if (this.#on === 'read') {
      yield disk.forward(request);
      this.#spoil(this.#within(request, request.data));
    } else {
      // The writer's own buffer stays as it is.
      const data = Buffer.from(request.data);
      this.#spoil(this.#within(request, data));
      yield disk.forward({ ...request, data });
    }
  }

  /** The bytes of the request that `sector` or `offset` name; all if neither is given. */
  #within({ offset, bytes }: DiskRequest, data: Buffer): Buffer {
    const { sector, offset: range } = this.settings;
    let from = offset;
    let to = offset + bytes;
    if (sector !== undefined) {
      from = Math.max(from, Number(sector) * SECTOR_BYTES);
      to = Math.min(to, (Number(sector) + 1) * SECTOR_BYTES);
    }
    if (range !== undefined) {
      from = Math.max(from, range.from);
      to = Math.min(to, range.to);
    }
    return data.subarray(from - offset, Math.max(from, to) - offset);
  }

  #spoil(data: Buffer): void {
    switch (this.#how) {
      case 'zeroes':
        data.fill(0);
        break;
      case 'noise':
        for (let at = 0; at < data.length; at += 1) data[at] = this.#draws.next() >>> 24;
        break;
      case 'bits':
        this.#flipBits(data);
        break;
    }
  }

  /** Different ones; all, if there are no more. */
  #flipBits(data: Buffer): void {
    const total = data.length * 8;
    const flipped = new Set<number>();
    while (flipped.size < Math.min(this.#bits, total)) {
      const bit = this.#draws.next() % total;
      if (flipped.has(bit)) continue;
      flipped.add(bit);
      data[bit >>> 3] = (data[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    }
  }
}

/** Silent corruption. */
export const corrupt: Fault = {
  settings: { sector: [], how: manners, on: places, bits: [], once: ['on', 'off'] },
  needed: [],
  make: (settings) => new CorruptRule(settings),
};
