/** The states of the disks after a loss of power, numbered: for each epoch, sets of pending changes that are kept. */
import { Chance } from '../chance.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import type { LogEntry } from '../../sandbox/disks/disk-log.ts';
import type { Epoch } from './epochs.ts';

/** Of an epoch with at most this many pending changes every subset is a state. */
const EXHAUSTIVE_MAX = 10;
/** Where a torn write is cut, at most, counted from each of its ends. */
const CUTS_MAX = 8;

/** A change of which only some sectors have reached the disk. */
export interface Torn {
  /** Index into the log. */
  readonly change: number;
  /** The part that has: bytes from the start of the change. */
  readonly from: number;
  readonly to: number;
}

/** One state. */
export interface LossState {
  readonly number: number;
  /** Index into the epochs. */
  readonly epoch: number;
  /** Indices into the log: pending changes that have reached the disk, in order. */
  readonly kept: readonly number[];
  readonly torn: Torn | null;
}

/** How states are chosen where there are too many for all. */
export interface LossSettings {
  /** States of an epoch of more than 10 pending changes: prefixes, each one missing, then random sets. */
  readonly samples: number;
  readonly seed: number;
  /** Also writes of which only some sectors have arrived. */
  readonly isTorn: boolean;
}

interface Plan {
  /** Number of its first state. */
  readonly first: number;
  readonly subsets: number;
  readonly torn: readonly Torn[];
}

/** All states of a log. A number means the same state for the same log and settings. */
export class LossStates {
  readonly count: number;
  readonly #epochs: readonly Epoch[];
  readonly #plans: readonly Plan[];
  readonly #seed: number;

  constructor(log: readonly LogEntry[], epochs: readonly Epoch[], { samples, seed, isTorn }: LossSettings) {
    this.#epochs = epochs;
    this.#seed = seed;
    const plans: Plan[] = [];
    let first = 0;
    for (const { pending } of epochs) {
      const systematic = 2 * pending.length + 1;
      const subsets = pending.length <= EXHAUSTIVE_MAX ? 2 ** pending.length : Math.max(systematic, samples);
      const torn = isTorn ? pending.flatMap((change) => cutsOf(log[change] as LogEntry, change)) : [];
      plans.push({ first, subsets, torn });
      first += subsets + torn.length;
    }
    this.#plans = plans;
    this.count = first;
  }

  /** The state of a number below `count`. */
  at(number: number): LossState {
    const epoch = this.#epochOf(number);
    const { pending } = this.#epochs[epoch] as Epoch;
    const { first, subsets, torn } = this.#plans[epoch] as Plan;
    const local = number - first;
    const cut = torn[local - subsets];
    if (cut !== undefined) return { number, epoch, kept: pending.filter((change) => change < cut.change), torn: cut };
    const isKept = pending.length <= EXHAUSTIVE_MAX ? inMask(local) : this.#chosen(epoch, local, pending.length);
    return { number, epoch, kept: pending.filter((_, index) => isKept(index)), torn: null };
  }

  #epochOf(number: number): number {
    let low = 0;
    let high = this.#plans.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#plans[middle] as Plan).first <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Of many changes: first how far the disk came, then each change missing, then random ones up to a point. */
  #chosen(epoch: number, local: number, count: number): (index: number) => boolean {
    if (local <= count) return (index) => index < local;
    if (local <= 2 * count) return (index) => index !== local - count - 1;
    const chance = new Chance(Math.imul(this.#seed + 1, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b) ^ local);
    const end = 1 + chance.below(count);
    const drawn = Array.from({ length: end }, () => chance.below(2) === 1);
    return (index) => drawn[index] === true;
  }
}

function inMask(mask: number): (index: number) => boolean {
  return (index) => (mask & (1 << index)) !== 0;
}

/** The parts of a write that can arrive alone, at its beginning or its end. */
function cutsOf({ kind, offset, bytes }: LogEntry, change: number): Torn[] {
  if (kind !== 'write') return [];
  const firstCut = SECTOR_BYTES - (offset % SECTOR_BYTES);
  const sectors = Math.ceil((bytes - firstCut) / SECTOR_BYTES);
  if (sectors <= 0) return [];
  const step = Math.max(1, Math.ceil(sectors / CUTS_MAX));
  const cuts: Torn[] = [];
  for (let sector = 0; sector < sectors; sector += step) {
    const at = firstCut + sector * SECTOR_BYTES;
    cuts.push({ change, from: 0, to: at }, { change, from: at, to: bytes });
  }
  return cuts;
}
