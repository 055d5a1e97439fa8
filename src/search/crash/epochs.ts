/** Epochs: the times between two flushes, each with the changes that a loss of power in it may take. */
import type { LogEntry } from '../../sandbox/disks/disk-log.ts';

/** The moment before a flush, or the end of the log. All that can be lost before it can be lost at it. */
export interface Epoch {
  /** How many entries of the log have been done. */
  readonly position: number;
  /** Indices into the log: changes that no completed flush of their disk follows, in order. */
  readonly pending: readonly number[];
}

/**
 * The epochs of a log, in order. One without pending changes is left out where another follows, of which the loss of
 * everything pending is the same state.
 */
export function epochsOf(log: readonly LogEntry[]): Epoch[] {
  const epochs: Epoch[] = [];
  let pending: number[] = [];
  for (const [index, entry] of log.entries()) {
    if (entry.kind !== 'flush') {
      pending.push(index);
      continue;
    }
    const kept = pending.filter((change) => log[change]?.disk !== entry.disk);
    if (kept.length < pending.length) epochs.push({ position: index, pending });
    pending = kept;
  }
  epochs.push({ position: log.length, pending });
  return epochs;
}
