/**
 * `node scripts/bench/million.js`: a million random 4 KiB writes over a qcow2 image of 64 GiB. Prints time and memory
 * for each 100,000 of them, then what `qemu-img check` says. Exits with 1 if the time of a write grows, memory is not
 * bounded, or the image is not clean.
 *
 * Needs qemu-img, and 6 GiB in the folder for temporary files (`TMPDIR`): clusters are of 4 KiB, so that each write
 * takes one. `WRITES=200000` writes fewer, `CLUSTER=65536` takes other clusters, with writes to the first 4 GiB only.
 * `PROGRAM=qemu-io` measures the real one, for its curve.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { blkscope, qemuIo } from './measure.js';

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const GiB = 2 ** 30;
const WRITE_BYTES = 4 * KiB;
const DISK_BYTES = 64 * GiB;
const STEPS = 10;
/** Later steps may take this much more of the processor than the second; the first one makes the L2 tables. */
const GROWTH_MAX = 1.3;
/** The caches can be 32 MiB of L2 tables and as many refcount blocks; the rest is the program itself. */
const PEAK_MAX_BYTES = 1.5 * 64 * MiB + 120 * MiB;
/** Clock ticks a second in `/proc/PID/stat`. */
const TICKS = 100;

const writes = Number(process.env.WRITES ?? 1_000_000);
const clusterBytes = Number(process.env.CLUSTER ?? 4 * KiB);
const spanBytes = clusterBytes > 4 * KiB ? 4 * GiB : DISK_BYTES;
const program = process.env.PROGRAM === 'qemu-io' ? qemuIo : blkscope;

const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-million-'));
const image = path.join(folder, 'disk.qcow2');
const script = path.join(folder, 'script.txt');

/** Numbers that are equal in each run: xorshift. */
let random = 0x9e37_79b9;
function nextRandom() {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return random >>> 0;
}

/** @param {number | undefined} pid @param {string} field */
function memoryOf(pid, field) {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * KiB;
}

/**
 * Seconds of the processor that a process has had: other work on the machine does not count.
 * @param {number | undefined} pid
 */
function processorSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** @param {number} bytes */
const mib = (bytes) => `${(bytes / MiB).toFixed(0)} MiB`;

/** Steps of writes, each with a `length` behind it, whose answer says when they are done. */
function writeScript() {
  const fd = openSync(script, 'w');
  for (let step = 0; step < STEPS; step++) {
    const lines = [];
    for (let index = 0; index < writes / STEPS; index++) {
      const block = nextRandom() % (spanBytes / WRITE_BYTES);
      lines.push(`write -q -P ${block & 255} ${block * WRITE_BYTES} 4k\n`);
    }
    writeSync(fd, `${lines.join('')}length\n`);
  }
  // So that the program is still there to be measured after the last answer.
  writeSync(fd, 'sleep 500\n');
  closeSync(fd);
}

async function main() {
  const options = ['create', '-q', '-f', 'qcow2', '-o', `cluster_size=${clusterBytes}`];
  execFileSync('qemu-img', [...options, image, String(DISK_BYTES)]);
  writeScript();
  const input = openSync(script, 'r');
  const args = [...program.args, '-t', 'writeback', '-f', 'qcow2', image];
  const child = spawn(program.command, args, { stdio: [input, 'pipe', 'inherit'] });
  closeSync(input);
  const closed = once(child, 'close');

  console.log('| writes | seconds | processor | µs a write | memory | file |\n| --- | --- | --- | --- | --- | --- |');
  /** @type {number[]} */
  const processor = [];
  let peakBytes = 0;
  let started = process.hrtime.bigint();
  let startedProcessor = 0;
  let line = '';
  if (child.stdout === null) throw new Error('no pipe');
  for await (const data of child.stdout) {
    line += data.toString('latin1');
    const ended = line.split('64 GiB\n').length - 1;
    line = line.slice(line.lastIndexOf('\n') + 1);
    for (let count = 0; count < ended; count++) {
      const now = process.hrtime.bigint();
      const seconds = Number(now - started) / 1e9;
      started = now;
      const used = processorSeconds(child.pid) - startedProcessor;
      startedProcessor += used;
      processor.push(used);
      peakBytes = Math.max(peakBytes, memoryOf(child.pid, 'VmHWM'));
      const row = [(writes / STEPS) * processor.length, `${seconds.toFixed(2)} s`, `${used.toFixed(2)} s`];
      row.push(((used / (writes / STEPS)) * 1e6).toFixed(1));
      row.push(mib(memoryOf(child.pid, 'VmRSS')), mib(statSync(image).blocks * 512));
      console.log(`| ${row.join(' | ')} |`);
    }
  }
  const [status] = await closed;
  console.log(`peak memory ${mib(peakBytes)}, exit status ${status}`);
  const verdict = execFileSync('qemu-img', ['check', '-f', 'qcow2', image], { encoding: 'utf8' });
  console.log(verdict.trim());

  const growth = Math.max(...processor.slice(2)) / (processor[1] ?? Number.NaN);
  console.log(`slowest step from the third on: ${growth.toFixed(2)} × the second`);
  const isBounded = program !== blkscope || peakBytes <= PEAK_MAX_BYTES;
  process.exitCode = growth <= GROWTH_MAX && isBounded && verdict.includes('No errors were found') ? 0 : 1;
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
