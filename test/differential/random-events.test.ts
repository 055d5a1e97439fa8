/**
 * Random requests on random qcow2 images fire the same events in the same order in qemu-io and in blkscope, seen by
 * breakpoints on every event.
 *
 * `CASES=2000 npm run test:differential random-events` tries more of them, `SEED=…` the same ones again.
 */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventSequence } from '../helpers/event-sequence.ts';
import { blkscope, type Program, qemuIo } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { createEncrypted, SECRET } from './encrypted-kinds.ts';
import { textDiff } from './text-diff.ts';

const cases = Number(process.env.CASES ?? 120);
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const TIME_LIMIT_MS = 600_000 + cases * 500;
/** As long as one answer of a program may take on a busy machine. */
const ANSWER_MS = 5000;
/** How often the real program is asked again where the two differ: an order of its own that is rare shows late. */
const MAX_REPEATS = 15;
/** Its threads encrypt in an order that is mostly the same. */
const MAX_REPEATS_ENCRYPTED = 60;

const DISK_BYTES = 8 << 20;

interface EventsCase {
  /** Words for `qemu-img create -o`. */
  readonly create: readonly string[];
  readonly backing: boolean;
  readonly snapshot: boolean;
  readonly compress: boolean;
  readonly isEncrypted: boolean;
  readonly options: readonly string[];
  readonly debug: readonly string[];
  readonly setup: readonly string[];
  readonly requests: readonly string[];
}

const clusterBits = fc.oneof(fc.constantFrom(9, 12, 16), fc.integer({ min: 9, max: 18 }));
const start = fc.oneof(
  fc.nat(127).map((n) => n * 65536),
  fc.nat(64).map((n) => n * 512),
  fc.nat(2 * 65536),
  fc.constantFrom(2 << 20, (4 << 20) - 512, DISK_BYTES - 65536),
);
/** Mostly what is one piece: with several under way the real program's order is not always the same. */
const bytes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 8 }).map((n) => n * 512) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 700 }) },
  { weight: 2, arbitrary: fc.constantFrom(4096, 16384, 65536) },
  { weight: 1, arbitrary: fc.constantFrom(131072, 262144) },
);
const request = fc
  .tuple(fc.constantFrom('write', 'write', 'write', 'write -z', 'write -z -u', 'read', 'write -P 0'), start, bytes)
  .map(([verb, from, length]) => ({ verb, from, length }));

const eventsCase: fc.Arbitrary<EventsCase> = fc
  .record({
    clusterBits,
    version: fc.constantFrom('1.1', '1.1', '1.1', '0.10'),
    refcountBits: fc.constantFrom(16, 16, 1, 2, 4, 8, 32, 64),
    extended: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    lazy: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    dataFile: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    backing: fc.integer({ min: 0, max: 2 }).map((n) => n === 0),
    snapshot: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    compress: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    encryption: fc.constantFrom('', '', '', '', 'aes', 'luks'),
    smallCaches: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    debug: fc.oneof(
      { weight: 3, arbitrary: fc.constant<readonly string[]>([]) },
      fc
        .constantFrom('align=4096', 'align=512', 'max-transfer=8192', 'opt-write-zero=4096', 'max-write-zero=8192')
        .map((limit) => [limit]),
    ),
    zeroes: fc.constantFrom('', '', '', 'detect-zeroes=on', 'detect-zeroes=unmap'),
    setup: fc.array(request, { maxLength: 4 }),
    requests: fc.array(request, { minLength: 1, maxLength: 4 }),
  })
  .map((one) => {
    const isNew = one.version === '1.1';
    const extended = one.extended && isNew && one.clusterBits >= 14;
    const dataFile = one.dataFile && isNew;
    const compress = one.compress && !dataFile;
    const create = [`cluster_size=${2 ** one.clusterBits}`, `compat=${one.version}`];
    if (isNew) create.push(`refcount_bits=${one.refcountBits}`);
    if (extended) create.push('extended_l2=on');
    if (one.lazy && isNew && !dataFile) create.push('lazy_refcounts=on');
    if (dataFile) create.push('data_file=data.raw');
    if (one.encryption !== '') create.push(`encrypt.format=${one.encryption}`, 'encrypt.key-secret=s');
    if (one.encryption === 'luks') create.push('encrypt.iter-time=10');
    const options = one.smallCaches ? ['l2-cache-size=1024', 'refcount-cache-size=2048'] : [];
    if (one.smallCaches && one.clusterBits >= 12) options.push('l2-cache-entry-size=512');
    if (one.encryption !== '') options.push('encrypt.key-secret=s');
    if (one.zeroes !== '') options.push(one.zeroes, 'discard=unmap');
    // A second count of a snapshot does not fit into one bit, nor can a snapshot be of what is elsewhere.
    const snapshot = one.snapshot && !dataFile && !(isNew && one.refcountBits === 1);
    // Threads compress several clusters at once, and encrypt several parts, in no order.
    const partMax = one.encryption === '' ? DISK_BYTES : 16 * 2 ** one.clusterBits;
    const lengthMax = compress ? 2 ** one.clusterBits : partMax;
    const lines = (requests: typeof one.requests): string[] =>
      requests.map(({ verb, from, length }) => `${verb} ${from} ${Math.min(length, lengthMax, DISK_BYTES - from)}`);
    const { debug } = one;
    const backing = one.backing && !dataFile;
    const setup = lines(one.setup);
    const isEncrypted = one.encryption !== '';
    return { create, backing, snapshot, compress, isEncrypted, options, debug, setup, requests: lines(one.requests) };
  });

async function makeImage(sandbox: Sandbox, one: EventsCase): Promise<void> {
  const run = (command: string, args: readonly string[]): void => {
    execFileSync(command, args, { cwd: sandbox.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  sandbox.image('base.raw', DISK_BYTES / 2);
  sandbox.fill('base.raw', 0, 1 << 20, 7);
  const over = one.backing ? ['-b', 'base.raw', '-F', 'raw'] : [];
  const words = [...object, '-f', 'qcow2', '-o', one.create.join(','), ...over, 'disk.img', String(DISK_BYTES)];
  await createEncrypted(words, sandbox.folder);
  if (!one.snapshot) return;
  const image = [...object, '--image-opts', plainOptions(one)];
  run('qemu-io', ['-t', 'unsafe', '-c', 'write 0 70000', '-c', 'write 2M 2k', ...image]);
  run('qemu-img', ['snapshot', '-c', 'one', ...image]);
}

const object = ['--object', SECRET];

/** The image without blkdebug. */
function plainOptions({ isEncrypted }: EventsCase): string {
  return `driver=qcow2,${isEncrypted ? 'encrypt.key-secret=s,' : ''}file.filename=disk.img`;
}

function imageOptions({ compress, options, debug }: EventsCase): string {
  const prefix = compress ? 'file.' : '';
  const graph = ['driver=qcow2', ...options, 'file.driver=blkdebug', 'file.image.filename=disk.img'];
  const all = [...graph, ...debug.map((option) => `file.${option}`)].map((option) => `${prefix}${option}`);
  return (compress ? ['driver=compress', ...all] : all).join(',');
}

/** The real program buffers what it says, if it is not told otherwise. */
const unbuffered: Program = { command: 'stdbuf', args: ['-o0', qemuIo.command, ...qemuIo.args] };

async function answer(program: Program, one: EventsCase): Promise<string> {
  const sandbox = new Sandbox();
  try {
    await makeImage(sandbox, one);
    const requests = one.requests.map((line) => `aio_${line}`);
    const withSecret = { ...program, args: [...program.args, ...object] };
    const lines = await eventSequence(withSecret, imageOptions(one), one.setup, requests, sandbox.folder, ANSWER_MS);
    return lines.join('\n').replaceAll(sandbox.folder, 'DIR');
  } finally {
    sandbox.remove();
  }
}

async function orMessage(program: Program, one: EventsCase): Promise<{ text: string; ended: boolean }> {
  try {
    return { text: await answer(program, one), ended: true };
  } catch (error) {
    return { text: error instanceof Error ? error.message : String(error), ended: false };
  }
}

describe(`events of random requests, seed ${seed}`, () => {
  it(`${cases} cases`, async () => {
    const counts = { same: 0, unanswerable: 0, unsteady: 0, events: 0 };
    const property = fc.asyncProperty(eventsCase, async (one) => {
      const [expected, actual] = await Promise.all([orMessage(unbuffered, one), orMessage(blkscope, one)]);
      if (!expected.ended) {
        counts.unanswerable++;
        return;
      }
      counts.events += expected.text.split('\n  ').length;
      if (expected.text === actual.text) {
        counts.same++;
        return;
      }
      // With several pieces under way its threads decide: then it differs from itself, and proves nothing.
      const repeats = one.isEncrypted ? MAX_REPEATS_ENCRYPTED : MAX_REPEATS;
      for (let repeat = 0; repeat < repeats; repeat++) {
        if ((await orMessage(unbuffered, one)).text === expected.text) continue;
        counts.unsteady++;
        return;
      }
      throw new Error(`${JSON.stringify(one)}\n${textDiff('qemu-io', 'blkscope', expected.text, actual.text)}`);
    });
    const result = await fc.check(property, {
      seed,
      numRuns: cases,
      interruptAfterTimeLimit: TIME_LIMIT_MS,
      markInterruptAsFailure: true,
    });
    if (result.failed) {
      const shrunk =
        result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance);
      expect.fail(`SEED=${seed}, case ${result.numRuns}, made smaller ${result.numShrinks} times:\n${shrunk}`);
    }
    console.log(JSON.stringify(counts));
    expect(counts.unanswerable + counts.unsteady, JSON.stringify(counts)).toBeLessThan(10 + cases / 10);
  });
});
