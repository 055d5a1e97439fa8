/** Recordings with one or more lines that are not as they should be: case K of a seed is always the same. */
import { encodeLine } from '../../src/live/record/encoder.ts';
import type { RecordingLine } from '../../src/live/record/schema.ts';
import { changes, eventfulEvents, eventfulRequest, snapshot } from '../live/panel/snapshots.ts';
import { Random } from './random.js';

/** A line of each kind, the header first. */
const samples: readonly RecordingLine[] = [
  { kind: 'header', schema: 2, program: 'test', startedAt: '2026-01-02T03:04:05.000Z', startedNs: 1e9, command: ['x'] },
  { kind: 'snapshot', ...snapshot },
  eventfulEvents(),
  ...eventfulRequest(),
  ...changes(),
  { kind: 'note', text: 'a note', dropped: 3 },
  { kind: 'end', timeNs: 2e9, records: 20 },
];

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The mark of text that stands in a line as it is: JavaScript has no value that is written so. */
const RAW = '\u0001raw:';

const hostileValues: readonly ((random: Random) => Json)[] = [
  () => null,
  () => true,
  () => -1,
  () => 0.5,
  () => 2 ** 53,
  () => 1e300,
  () => `${RAW}1e999`,
  () => `${RAW}-1e999`,
  () => `${RAW}-0`,
  () => `${RAW}${'['.repeat(5000)}${']'.repeat(5000)}`,
  () => `${RAW}${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`,
  () => `${RAW}`,
  () => '',
  () => '</script><script>alert(1)</script>',
  () => '\u001b[2J\u0000\u202e',
  () => '\ud800',
  (random) => 'n'.repeat(random.pick([100, 5000, 70_000])),
  () => [],
  () => ({}),
  () => [null],
  () => [[[]]],
  () => ({ __proto__: null, kind: 'event', toString: 'x', length: -1 }),
  (random) => random.between(-(2 ** 31), 2 ** 31),
];

/** A hostile value, in half of the cases one of the same type. */
function hostile(value: Json, random: Random): Json {
  const candidate = random.pick(hostileValues)(random);
  if (typeof candidate === typeof value || random.chance(50)) return candidate;
  if (typeof value === 'string') return 'n'.repeat(random.pick([100, 5000, 70_000]));
  if (typeof value === 'number') return random.pick([0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 999_999_999, 1e9]);
  return candidate;
}

/** Changes one value somewhere in a line, or takes it away, or puts another member beside it. */
function mutate(value: Json, random: Random): Json {
  if (typeof value !== 'object' || value === null || random.chance(10)) return hostile(value, random);
  const keys = Object.keys(value);
  if (Array.isArray(value)) {
    if (value.length === 0 || random.chance(20)) return [...value, random.pick(hostileValues)(random)];
    const at = random.below(value.length);
    return value.with(at, mutate(value[at] ?? null, random));
  }
  const key = random.pick(keys);
  if (random.chance(10)) {
    const { [key]: _, ...rest } = value;
    return rest;
  }
  if (random.chance(10)) return { ...value, [random.pick(['kind', 'sequence', '__proto__', 'x', key])]: 7 };
  return { ...value, [key]: mutate(value[key] ?? null, random) };
}

function textOf(value: Json): string {
  return JSON.stringify(value).replaceAll(/"\\u0001raw:([^"]*(?:\\"[^"]*)*)"/g, (_, raw: string) => {
    return raw.replaceAll('\\"', '"');
  });
}

function scrambled(line: string, random: Random): string {
  const at = random.below(line.length);
  if (random.chance(50)) return line.slice(0, at) + line.slice(at + random.between(1, 9));
  return (
    line.slice(0, at) + random.bytes(random.between(1, 4)).toString('latin1').replaceAll('\n', ' ') + line.slice(at)
  );
}

/** The text of a recording. */
export function hostileRecording(seed: string, index: number): string {
  const random = new Random(`${seed} recording ${index}`);
  const lines = samples.map((line) => encodeLine(line));
  for (let count = random.chance(60) ? 1 : random.between(2, 3); count > 0; count -= 1) {
    // Every kind comes in turn, and mostly not the header: nothing is read behind a wrong one.
    const at = random.chance(97) ? 1 + ((index + count) % (samples.length - 1)) : 0;
    const sample = samples[at] as unknown as Json;
    lines[at] = random.chance(85) ? `${textOf(mutate(sample, random))}\n` : scrambled(lines[at] ?? '', random);
  }
  if (random.chance(5)) lines.splice(1, 0, ...lines.slice(1).reverse());
  return lines.join('');
}
