/** Making the disks of a state: what is on stable storage, with the changes that have been kept. */
import type { LogEntry } from '../../sandbox/disks/disk-log.ts';
import type { Disks } from '../../sandbox/disks/disks.ts';
import type { Epoch } from './epochs.ts';
import type { LossState } from './loss-states.ts';

/** Makes the disks of states; fastest where their epochs ascend. */
export class StateDisks {
  readonly #log: readonly LogEntry[];
  readonly #epochs: readonly Epoch[];
  /** The disks before the first entry of the log, numbered as there. */
  readonly #pristine: Disks;
  /** As on stable storage in the epoch of the latest state. */
  #stable: Disks;
  #epoch = -1;

  constructor(log: readonly LogEntry[], epochs: readonly Epoch[], pristine: Disks) {
    this.#log = log;
    this.#epochs = epochs;
    this.#pristine = pristine;
    this.#stable = pristine.fork();
  }

  /** The caller releases them. */
  make({ epoch, kept, torn }: Pick<LossState, 'epoch' | 'kept' | 'torn'>): Disks {
    this.#settle(epoch);
    const disks = this.#stable.fork();
    for (const index of kept) disks.apply(this.#log[index] as LogEntry);
    if (torn !== null) {
      const entry = this.#log[torn.change] as LogEntry;
      const data = entry.data?.subarray(torn.from, torn.to) ?? null;
      disks.apply({ ...entry, offset: entry.offset + torn.from, bytes: torn.to - torn.from, data });
    }
    return disks;
  }

  release(): void {
    this.#stable.release();
    this.#pristine.release();
  }

  /** Applies all that was flushed before the epoch. */
  #settle(epoch: number): void {
    if (epoch === this.#epoch) return;
    if (epoch < this.#epoch) {
      this.#stable.release();
      this.#stable = this.#pristine.fork();
      this.#epoch = -1;
    }
    const old = this.#epochs[this.#epoch];
    const { position, pending } = this.#epochs[epoch] as Epoch;
    const isPending = new Set(pending);
    const settled = (index: number): void => {
      if (!isPending.has(index)) this.#stable.apply(this.#log[index] as LogEntry);
    };
    for (const index of old?.pending ?? []) settled(index);
    for (let index = old?.position ?? 0; index < position; index++) settled(index);
    this.#epoch = epoch;
  }
}
