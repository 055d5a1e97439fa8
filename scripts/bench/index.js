/**
 * `npm run bench`: blkscope and the real qemu-io in turn, medians and ratios, as the table of
 * .github/docs/performance.md.
 *
 * Needs qemu-io and qemu-img, and a quiet machine: what else runs changes the two programs' times by different factors.
 * Images lie in memory (`/dev/shm`) where there is room for them, since a disk that has to flush each write measures
 * itself; `TMPDIR` chooses another folder. Exits with 1 if a target is missed. `ROUNDS=3` measures fewer times,
 * `ONLY=qcow2` one part (raw, qcow2, live, batches, allocating, travel). `--against DIR` compares with another built
 * tree in place of qemu-io (`against.js`).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { compareTrees } from './against.js';
import {
  blkscope,
  blkscopeBare,
  blkscopeReporting,
  inTurn,
  node,
  processorSeconds,
  qemuIo,
  run,
  runAttended,
  watch,
} from './measure.js';
import {
  allocatingBatch,
  asynchronousWrites,
  damagedSession,
  hugeReads,
  idleRules,
  largeRequests,
  lockedRequests,
  MiB,
  smallRequests,
  suspendedRequests,
  writesAtOneBreakpoint,
} from './workloads.js';

/** @typedef {{ work: string, theirs: string, ours: string, ratio: string, target: string, met: boolean }} Row */

/** Room for the largest images, and some to spare. */
const NEEDED_BYTES = 2 ** 31;
const folder = mkdtempSync(path.join(placeForImages(), 'blkscope-bench-'));
const rounds = Number(process.env.ROUNDS ?? 7);
const COMMANDS = 20_000;

/** @type {Row[]} */
const rows = [];

function placeForImages() {
  const memory = '/dev/shm';
  if (process.env.TMPDIR !== undefined || !existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize >= NEEDED_BYTES ? memory : tmpdir();
}

/** @param {number} seconds */
const time = (seconds) =>
  seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`;
/** @param {number} bytes */
const mib = (bytes) => `${(bytes / MiB).toFixed(0)} MiB`;

/**
 * A row that says how many times as fast blkscope is.
 * @param {string} work
 * @param {{ ours: number, theirs: number }} measured
 * @param {number} [target] without one, the row only informs
 */
function faster(work, { ours, theirs }, target) {
  const ratio = theirs / ours;
  const met = target === undefined || ratio >= target;
  rows.push({
    work,
    theirs: time(theirs),
    ours: time(ours),
    ratio: `${ratio.toFixed(1)} × as fast`,
    target: target === undefined ? '' : `≥ ${target} ×`,
    met,
  });
}

/**
 * A row that says how many times as long the second takes.
 * @param {string} work
 * @param {{ ours: number, theirs: number }} measured
 * @param {number} target
 */
function costs(work, { ours, theirs }, target) {
  const ratio = ours / theirs;
  const met = ratio <= target;
  rows.push({
    work,
    theirs: time(theirs),
    ours: time(ours),
    ratio: `${ratio.toFixed(2)} × its time`,
    target: `≤ ${target} ×`,
    met,
  });
}

/**
 * @param {string} work
 * @param {number | null} theirs
 * @param {number} ours
 * @param {string} target
 * @param {boolean} met
 */
function peak(work, theirs, ours, target, met) {
  rows.push({ work, theirs: theirs === null ? '' : mib(theirs), ours: mib(ours), ratio: '', target, met });
}

/**
 * A fresh image of 64 MiB or more, anew for each run, so that all of them have the same to do.
 * @param {'raw' | 'qcow2'} format
 * @param {number} [bytes]
 * @param {string[]} [options] of qemu-img
 */
function fresh(format, bytes = 64 * MiB, options = []) {
  const file = path.join(folder, `disk.${format}`);
  if (format === 'raw') {
    writeFileSync(file, '');
    truncateSync(file, bytes);
  } else {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, file, String(bytes)]);
  }
  return file;
}

/**
 * As scripts are piped, and as the targets were set: each write is followed by a flush of the image.
 * @type {string[]}
 */
const AS_TYPED = [];
const WRITE_BACK = ['-t', 'writeback'];

/**
 * Both programs over one kind of image.
 * @param {'raw' | 'qcow2'} format
 * @param {string} script
 * @param {string[]} options
 * @param {number} [bytes]
 * @param {(file: string) => string} [name]
 */
function both(format, script, options, bytes, name = (file) => file) {
  /** @param {import('./measure.js').Program} program */
  const measure = (program) => run(program, [...options, '-f', format, name(fresh(format, bytes))], { stdin: script });
  return inTurn(
    rounds,
    () => measure(blkscope),
    () => measure(qemuIo),
  );
}

async function raw() {
  const small = smallRequests(folder, COMMANDS);
  faster('20,000 piped writes and reads of 4 KiB, raw', await both('raw', small, AS_TYPED), 8);
  faster('the same with `-t writeback`', await both('raw', small, WRITE_BACK));
  faster(
    'write and verify 1 GiB in pieces of 16 MiB, raw',
    await both('raw', largeRequests(folder), WRITE_BACK, 1024 * MiB),
    1.2,
  );
  const start = await inTurn(
    rounds * 5,
    () => run(blkscopeBare, ['-c', 'quit']),
    () => run(node, ['-e', '0']),
  );
  costs('start, `-c quit`, against bare `node -e 0`', start, 1.25);

  const open = [...WRITE_BACK, '-f', 'raw', fresh('raw')];
  const theirs = (await run(qemuIo, open, { stdin: small, memory: true })).peakBytes;
  const ours = (await run(blkscopeReporting, open, { stdin: small, memory: true })).peakBytes;
  peak('peak memory of the 20,000 commands', theirs, ours, '≤ 120 MiB', ours <= 120 * MiB);
  const more = smallRequests(folder, 10 * COMMANDS);
  const many = (await run(blkscopeReporting, open, { stdin: more, memory: true })).peakBytes;
  // The collector's own play is a few MiB.
  peak('peak memory of 200,000 commands', null, many, 'not growing', many <= ours + 12 * MiB);
}

async function qcow2() {
  const small = smallRequests(folder, COMMANDS);
  faster('20,000 piped writes and reads of 4 KiB, qcow2', await both('qcow2', small, AS_TYPED), 6);
  faster('the same with `-t writeback`', await both('qcow2', small, WRITE_BACK));
  // Rules of an event that every request fires, so that each is looked at.
  const rules = idleRules(folder, 'write_aio', 20);
  /** @param {string[]} options */
  const ruled = (options) => both('qcow2', small, options, 64 * MiB, (file) => `blkdebug:${rules}:${file}`);
  faster('20,000 piped writes and reads of 4 KiB, qcow2 over blkdebug with 20 rules', await ruled(AS_TYPED), 6);
  faster('the same with `-t writeback`', await ruled(WRITE_BACK));
  faster(
    'write and verify 1 GiB in pieces of 16 MiB, qcow2',
    await both('qcow2', largeRequests(folder), WRITE_BACK, 1024 * MiB),
    1,
  );
  const measured = await run(blkscopeReporting, ['-t', 'writeback', fresh('qcow2')], { stdin: small, memory: true });
  // An image of 64 MiB: one L2 table and one refcount block; the caches can be 1 MiB and four clusters of refcounts.
  const limit = 1.5 * (1.25 * MiB) + 120 * MiB;
  peak(
    'peak memory of the 20,000 commands, qcow2',
    null,
    measured.peakBytes,
    `≤ ${mib(limit)}`,
    measured.peakBytes <= limit,
  );
}

/**
 * Processor time of both programs in turn, the minimum of the rounds: other work on the machine only adds to it.
 * @param {string} script
 * @param {() => string[]} args
 */
function leastProcessorTime(script, args) {
  const least = { ours: Infinity, theirs: Infinity };
  for (let round = 0; round < rounds; round++) {
    least.theirs = Math.min(least.theirs, processorSeconds(qemuIo, args(), script));
    least.ours = Math.min(least.ours, processorSeconds(blkscope, args(), script));
  }
  return least;
}

/** Many requests of qcow2 in flight: processor time and memory. The real program is run once: it takes long. */
async function allocating() {
  const GiB = 2 ** 30;
  /** @param {number} count */
  const open = (count) => /** @type {const} */ ([[...WRITE_BACK, '-f', 'qcow2'], allocatingBatch(folder, count)]);
  for (const [count, limit] of /** @type {const} */ ([
    [1000, 1],
    [2000, 1.4],
    [4000, 2],
  ])) {
    const [args, script] = open(count);
    const theirs = processorSeconds(qemuIo, [...args, fresh('qcow2', 20 * GiB)], script);
    const all = Array.from({ length: rounds }, () =>
      processorSeconds(blkscope, [...args, fresh('qcow2', 20 * GiB)], script),
    );
    const ours = Math.min(...all);
    rows.push({
      work: `processor time of ${count} \`aio_write\` of 4 KiB to new clusters, qcow2 of 20 GiB`,
      theirs: time(theirs),
      ours: time(ours),
      ratio: `${(theirs / ours).toFixed(1)} × as fast`,
      target: `≤ ${limit} s`,
      met: ours <= limit,
    });
  }
  const [args, script] = open(4000);
  /** @param {import('./measure.js').Program} program */
  const memoryOf = (program) => run(program, [...args, fresh('qcow2', 20 * GiB)], { stdin: script, memory: true });
  const ours = (await memoryOf(blkscopeReporting)).peakBytes;
  peak('their peak memory, 4000', (await memoryOf(qemuIo)).peakBytes, ours, '≤ 150 MiB', ours <= 150 * MiB);

  /** @param {'raw' | 'qcow2'} format @param {string} held */
  const heldSeconds = (format, held) =>
    processorSeconds(blkscope, [...WRITE_BACK, '-f', format, `blkdebug::${fresh(format, GiB)}`], held);
  /** @param {number} count */
  const resumed = (count) => heldSeconds('raw', suspendedRequests(folder, count, 'all'));
  /** @param {number} count */
  const locked = (count) => heldSeconds('qcow2', lockedRequests(folder, count));
  costs(
    'processor time of 10,000 requests suspended and resumed by `resume -a`, against 5,000',
    { ours: resumed(10_000), theirs: resumed(5_000) },
    2.5,
  );
  costs(
    'processor time of 10,000 requests that wait for the lock, against 5,000',
    { ours: locked(10_000), theirs: locked(5_000) },
    2.5,
  );

  const truncate = [...WRITE_BACK, '-f', 'qcow2', '-c', 'truncate -m metadata 1G'];
  const small = () => fresh('qcow2', MiB, ['-o', 'cluster_size=512']);
  const longer = {
    theirs: processorSeconds(qemuIo, [...truncate, small()]),
    ours: processorSeconds(blkscope, [...truncate, small()]),
  };
  faster('processor time of `truncate -m metadata 1G`, qcow2 of 512-byte clusters', longer, 1);
}

async function live() {
  const small = smallRequests(folder, COMMANDS);
  /** @param {string[]} args @param {string} [file] */
  const open = (args, file = fresh('raw')) =>
    run(blkscope, ['-t', 'writeback', '-f', 'raw', ...args, file], { stdin: small });
  const record = path.join(folder, 'run.ndjson');
  costs(
    '20,000 commands with `--record x.ndjson`, against without',
    await inTurn(
      rounds,
      () => open(['--record', record]),
      () => open([]),
    ),
    1.5,
  );

  let sockets = 0;
  const watched = await inTurn(
    rounds,
    () => {
      const socket = path.join(folder, `monitor-${(sockets += 1)}`);
      return runAttended(['-t', 'writeback', '-f', 'raw', '--monitor', socket, fresh('raw')], small, () =>
        watch(socket),
      );
    },
    () => runAttended(['-t', 'writeback', '-f', 'raw', fresh('raw')], small),
  );
  costs('the same with a client attached, against without', watched, 1.3);

  const many = idleRules(folder, 'cluster_free', 10_000);
  const none = idleRules(folder, 'cluster_free', 0);
  /** @param {string} rules */
  const ruled = (rules) => runAttended(['-t', 'writeback', '-f', 'raw', `blkdebug:${rules}:${fresh('raw')}`], small);
  const onOther = await inTurn(
    rounds,
    () => ruled(many),
    () => ruled(none),
  );
  costs('the same with 10,000 rules of another event, against none', onOther, 1.1);

  /** @param {number} count */
  const suspended = (count) =>
    runAttended(['-t', 'writeback', '-f', 'raw', `blkdebug::${fresh('raw')}`], suspendedRequests(folder, count));
  const resumed = await inTurn(
    rounds,
    () => suspended(10_000),
    () => suspended(5_000),
  );
  costs('10,000 requests suspended and resumed by tag, against 5,000', resumed, 2.5);
}

/** Batches of asynchronous requests, and requests of the largest size: time beside qemu-io, and memory. */
async function batches() {
  const options = [...WRITE_BACK, '-f', 'raw'];
  const batch = asynchronousWrites(folder, 16_000, '4k');
  costs(
    'processor time of 16,000 piped `aio_write` of 4 KiB, raw',
    leastProcessorTime(batch, () => [...options, fresh('raw', 1024 * MiB)]),
    1.5,
  );
  /**
   * @param {string} work
   * @param {string} script
   * @param {number} limit
   * @param {(file: string) => string} [name]
   */
  const bounded = async (work, script, limit, name = (file) => file) => {
    const file = name(fresh('raw', 2048 * MiB));
    const { peakBytes } = await run(blkscopeReporting, [...options, file], { stdin: script, memory: true });
    peak(`peak memory of ${work}`, null, peakBytes, `≤ ${mib(limit)}`, peakBytes <= limit);
  };
  await bounded('16,000 `aio_write` of 4 KiB', batch, 120 * MiB);
  await bounded('50,000 of them', asynchronousWrites(folder, 50_000, '4k'), 120 * MiB);
  await bounded('3,000 `aio_write` of 1 MiB', asynchronousWrites(folder, 3000, '1M'), 120 * MiB);
  const held = writesAtOneBreakpoint(folder, 10_000);
  await bounded('10,000 suspended writes of 4 KiB', held, 150 * MiB, (file) => `blkdebug::${file}`);
  const locked = await run(
    blkscopeReporting,
    [...WRITE_BACK, '-f', 'qcow2', `blkdebug::${fresh('qcow2', 1024 * MiB)}`],
    { stdin: lockedRequests(folder, 10_000), memory: true },
  );
  const most = 220 * MiB;
  peak(
    'peak memory of 10,000 that wait for the lock',
    null,
    locked.peakBytes,
    `≤ ${mib(most)}`,
    locked.peakBytes <= most,
  );
  await bounded('`read 2046M` and `read 2047M` in a row', hugeReads(folder), 2047 * MiB + 120 * MiB);
}

/** A thousand commands in a sandbox, and the search for the one that did the damage: the whole program. */
async function travel() {
  const options = ['--sandbox', '-D', ...WRITE_BACK, '-f', 'qcow2'];
  for (const [at, where] of /** @type {const} */ ([
    [20, 'one of the first did damage'],
    [980, 'one of the last did damage'],
  ])) {
    /** @param {boolean} isSearched */
    const session = (isSearched) =>
      run(blkscope, [...options, fresh('qcow2')], { stdin: damagedSession(folder, at, isSearched) });
    const { ours, theirs } = await inTurn(
      rounds,
      () => session(true),
      () => session(false),
    );
    rows.push({
      work: `1,000 commands in a sandbox, \`goto -1 until check\`, \`events\` and \`where\`: ${where}; against the commands`,
      theirs: time(theirs),
      ours: time(ours),
      ratio: `${(ours / theirs).toFixed(1)} × its time`,
      target: '≤ 1 s',
      met: ours <= 1,
    });
  }
}

const parts = { raw, qcow2, live, batches, allocating, travel };
const { values: args } = parseArgs({ options: { against: { type: 'string' } } });

async function main() {
  console.log(`Node ${process.versions.node}, images in ${path.dirname(folder)}, ${rounds} rounds\n`);
  if (args.against !== undefined) {
    process.exitCode = compareTrees(folder, path.resolve(args.against), fresh, rounds) ? 0 : 1;
    return;
  }
  for (const [name, part] of Object.entries(parts))
    if (process.env.ONLY === undefined || process.env.ONLY === name) await part();
  console.log('| work | qemu-io, or the other | blkscope | ratio | target |\n| --- | --- | --- | --- | --- |');
  for (const { work, theirs, ours, ratio, target, met } of rows)
    console.log(`| ${work} | ${theirs} | ${ours} | ${ratio} | ${target}${met ? '' : ' **missed**'} |`);
  process.exitCode = rows.every(({ met }) => met) ? 0 : 1;
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
