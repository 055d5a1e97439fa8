/**
 * `npm run bench`: blkscope and the real qemu-io in turn, medians and ratios, as the table of the README.
 *
 * Needs qemu-io. Exits with 1 if a target is missed.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { blkscope, blkscopeReporting, inTurn, node, qemuIo, run } from './measure.js';

const MiB = 2 ** 20;
const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-bench-'));
const image = path.join(folder, 'disk.raw');
const open = ['-t', 'writeback', '-f', 'raw', image];
/** Programs that are fresh from the build may be measured fewer times: `ROUNDS=3 npm run bench`. */
const rounds = Number(process.env.ROUNDS ?? 7);

/** Every second command writes 4 KiB, the next reads and verifies it. @param {number} commands */
function smallRequests(commands) {
  const file = path.join(folder, `small-${commands}.txt`);
  const lines = [];
  for (let index = 0; index < commands / 2; index++) {
    // Spread over the image, every page hit in the end.
    const offset = ((index * 7919) % 16384) * 4096;
    lines.push(`write -P ${index % 256} ${offset} 4k`, `read -P ${index % 256} ${offset} 4k`);
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Writes a GiB in pieces of 16 MiB and verifies it. */
function largeRequests() {
  const file = path.join(folder, 'large.txt');
  const pieces = Array.from({ length: 64 }, (_, index) => index);
  const lines = [
    ...pieces.map((n) => `write -P ${n + 1} ${n * 16}M 16M`),
    ...pieces.map((n) => `read -P ${n + 1} ${n * 16}M 16M`),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** @type {{ work: string, theirs: string, ours: string, ratio: string, target: string, met: boolean }[]} */
const rows = [];
/** @param {number} seconds */
const time = (seconds) =>
  seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`;

/** A row that says how many times as fast blkscope is. @param {string} work @param {{ ours: number, theirs: number }} measured @param {number} target */
function faster(work, { ours, theirs }, target) {
  const ratio = theirs / ours;
  rows.push({
    work,
    theirs: time(theirs),
    ours: time(ours),
    ratio: `${ratio.toFixed(1)} × as fast`,
    target: `≥ ${target} ×`,
    met: ratio >= target,
  });
}

async function main() {
  writeFileSync(image, '');
  truncateSync(image, 64 * MiB);
  const small = smallRequests(20_000);
  faster(
    '20,000 piped writes and reads of 4 KiB, raw',
    await inTurn(
      rounds,
      () => run(blkscope, open, { stdin: small }),
      () => run(qemuIo, open, { stdin: small }),
    ),
    8,
  );

  truncateSync(image, 1024 * MiB);
  const large = largeRequests();
  faster(
    'write and verify 1 GiB in pieces of 16 MiB, raw',
    await inTurn(
      rounds,
      () => run(blkscope, open, { stdin: large }),
      () => run(qemuIo, open, { stdin: large }),
    ),
    1.2,
  );

  const start = await inTurn(
    rounds * 5,
    () => run(blkscope, ['-c', 'quit']),
    () => run(node, ['-e', '0']),
  );
  const startRatio = start.ours / start.theirs;
  rows.push({
    work: 'start, `-c quit`, against bare `node -e 0`',
    theirs: time(start.theirs),
    ours: time(start.ours),
    ratio: `${startRatio.toFixed(2)} × its time`,
    target: '≤ 1.25 ×',
    met: startRatio <= 1.25,
  });

  truncateSync(image, 64 * MiB);
  const peak = (await run(blkscopeReporting, open, { stdin: small, memory: true })).peakBytes;
  const theirPeak = (await run(qemuIo, open, { stdin: small, memory: true })).peakBytes;
  const many = (await run(blkscopeReporting, open, { stdin: smallRequests(200_000), memory: true })).peakBytes;
  /** @param {number} bytes */
  const mib = (bytes) => `${(bytes / MiB).toFixed(0)} MiB`;
  rows.push({
    work: 'peak memory of the 20,000 commands',
    theirs: mib(theirPeak),
    ours: mib(peak),
    ratio: '',
    target: '≤ 120 MiB',
    met: peak <= 120 * MiB,
  });
  // The collector's own play is a few MiB.
  rows.push({
    work: 'peak memory of 200,000 commands',
    theirs: '',
    ours: mib(many),
    ratio: '',
    target: 'not growing',
    met: many <= peak + 16 * MiB,
  });

  console.log('| work | qemu-io (or node) | blkscope | ratio | target |\n| --- | --- | --- | --- | --- |');
  for (const { work, theirs, ours, ratio, target, met } of rows)
    console.log(`| ${work} | ${theirs} | ${ours} | ${ratio} | ${target}${met ? '' : ' **missed**'} |`);
  process.exitCode = rows.every(({ met }) => met) ? 0 : 1;
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
