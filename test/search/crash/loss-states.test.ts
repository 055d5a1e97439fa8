/** Epochs and states: what a loss of power may take, and the numbers of what it leaves. */
import { describe, expect, it } from 'vitest';
import { epochsOf } from '../../../src/search/crash/epochs.ts';
import { type LossSettings, type LossState, LossStates } from '../../../src/search/crash/loss-states.ts';
import type { LogEntry } from '../../../src/sandbox/disks/disk-log.ts';

/** `w` writes a sector, `W` 20 sectors, `F` flushes; an upper digit behind it is the disk. */
function logOf(text: string): LogEntry[] {
  return text.split(' ').map((word, index): LogEntry => {
    const disk = Number(word[1] ?? 0);
    const place = { disk, flags: 0, request: 1, command: 1 };
    if (word[0] === 'F') return { ...place, kind: 'flush', offset: 0, bytes: 0, data: null };
    const data = Buffer.alloc(word[0] === 'W' ? 20 * 512 : 512, index);
    return { ...place, kind: 'write', offset: index * 512, bytes: data.length, data };
  });
}

function statesOf(text: string, settings: Partial<LossSettings> = {}): LossState[] {
  const log = logOf(text);
  const states = new LossStates(log, epochsOf(log), { samples: 1024, seed: 1, isTorn: false, ...settings });
  return Array.from({ length: states.count }, (_, number) => states.at(number));
}

describe('an epoch', () => {
  it('has the changes since the last flush of their disk', () => {
    expect(epochsOf(logOf('w w F w F w'))).toEqual([
      { position: 2, pending: [0, 1] },
      { position: 4, pending: [3] },
      { position: 6, pending: [5] },
    ]);
    expect(epochsOf(logOf('w0 w1 F0 w0 F1'))).toEqual([
      { position: 2, pending: [0, 1] },
      { position: 4, pending: [1, 3] },
      { position: 5, pending: [3] },
    ]);
  });

  it('is left out where nothing of its disk can be lost, but for the last', () => {
    expect(epochsOf(logOf('F w F F F1'))).toEqual([
      { position: 2, pending: [1] },
      { position: 5, pending: [] },
    ]);
  });
});

describe('the states of an epoch', () => {
  it('are all subsets of up to ten changes', () => {
    const kept = statesOf(Array.from({ length: 10 }, () => 'w').join(' ')).map((state) => state.kept.join());
    expect(new Set(kept).size).toBe(1024);
  });

  it('of more are every prefix, each change missing, and random sets', () => {
    const log = Array.from({ length: 30 }, () => 'w').join(' ');
    const states = statesOf(log, { samples: 100 });
    expect(states).toHaveLength(100);
    const all = Array.from({ length: 30 }, (_, index) => index);
    for (let count = 0; count <= 30; count++) expect(states[count]?.kept).toEqual(all.slice(0, count));
    for (const missing of all) expect(states[31 + missing]?.kept).toEqual(all.filter((change) => change !== missing));
    expect(new Set(states.slice(61).map(({ kept }) => kept.join())).size).toBeGreaterThan(30);
    expect(statesOf(log, { samples: 100 })).toEqual(states);
    expect(statesOf(log, { samples: 100, seed: 2 })).not.toEqual(states);
  });

  it('can have a write of which only its first or its last sectors have arrived', () => {
    const torn = statesOf('w W F', { isTorn: true }).filter((state) => state.torn !== null);
    expect(torn).toHaveLength(14);
    expect(torn[0]).toMatchObject({ kept: [0], torn: { change: 1, from: 0, to: 512 } });
    expect(torn[1]).toMatchObject({ kept: [0], torn: { change: 1, from: 512, to: 20 * 512 } });
  });
});
