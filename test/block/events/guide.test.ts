/** The guide to the events, held against the sequences that were recorded from the real program. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventGuide } from '../../../src/block/events/guide.ts';
import { type EventName, eventNames } from '../../../src/block/events/events.ts';

/**
 * A neighbour in the guide lies within as many events: the steps between are requests to the file and their flushes.
 */
const NEIGHBOURS = 8;

/** The golden sequences, each the events of one request in their order. */
function recordedSequences(): EventName[][] {
  const tests = path.resolve(import.meta.dirname, '../..');
  const files = readdirSync(tests, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.events$|events[^/]*\.case$/.test(name),
  );
  const names: ReadonlySet<string> = new Set(eventNames);
  const sequences: EventName[][] = [];
  for (const file of files) {
    let sequence: EventName[] = [];
    for (const line of readFileSync(path.join(tests, file), 'utf8').split('\n')) {
      // One event a line in a transcript, several in a recorded sequence.
      const events = /^>? {2,}(\w+(?: \w+)*)$/.exec(line)?.[1]?.split(' ') ?? [];
      if (events.length > 0 && events.every((event) => names.has(event))) sequence.push(...(events as EventName[]));
      else if (sequence.length > 0) {
        sequences.push(sequence);
        sequence = [];
      }
    }
  }
  return sequences;
}

const sequences = recordedSequences();

/** Whether a recorded request fires `second` soon after `first`. */
function isRecorded(first: EventName, second: EventName): boolean {
  return sequences.some((sequence) =>
    sequence.some(
      (event, index) => event === first && sequence.slice(index + 1, index + 1 + NEIGHBOURS).includes(second),
    ),
  );
}

const claims = eventNames.flatMap((event) => [
  ...eventGuide[event].before.map((other) => [other, event, `before ${event}`] as const),
  ...eventGuide[event].after.map((other) => [event, other, `after ${event}`] as const),
]);

describe('the guide to the events', () => {
  it('has every event', () => {
    expect(Object.keys(eventGuide).sort()).toEqual([...eventNames].sort());
  });

  it('rests on hundreds of recorded requests, with most events in them', () => {
    expect(sequences.length).toBeGreaterThan(500);
    expect(new Set(sequences.flat()).size).toBeGreaterThan(40);
  });

  it('names as neighbours only events that a recorded request fires there', () => {
    expect(claims.length).toBeGreaterThan(80);
    expect(claims.filter(([first, second]) => !isRecorded(first, second)).map(([, , claim]) => claim)).toEqual([]);
  });
});
