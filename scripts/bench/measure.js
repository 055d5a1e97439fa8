/** Runs programs and measures them: wall time, peak memory. Programs are measured in turn, medians compared. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createReadStream, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn as spawnTerminal } from '@lydell/node-pty';

const program = fileURLToPath(new URL('../../bin/blkscope.js', import.meta.url));
const reporter = fileURLToPath(new URL('report-usage.cjs', import.meta.url));

/**
 * @typedef {{ command: string, args: string[] }} Program
 * @typedef {{ seconds: number, peakBytes: number }} Measured
 */

/** @type {Program} */
export const node = { command: process.execPath, args: [] };
/** As its users start it: what its first line says of Node counts. @type {Program} */
export const blkscope = { command: program, args: [] };
/** Without the work of the kernel and env(1) before it, to be compared with bare Node. @type {Program} */
export const blkscopeBare = { command: process.execPath, args: [program] };
/** blkscope with its own account of its memory, on file descriptor 3. @type {Program} */
export const blkscopeReporting = { command: process.execPath, args: ['--require', reporter, program] };
/** @type {Program} */
export const qemuIo = { command: process.env.QEMU_IO ?? 'qemu-io', args: [] };

/**
 * Certificates to be read and modules to be loaded first make every start of Node slower and say nothing of either
 * program: they are left out.
 */
const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: _options, ...env } = process.env;

/** The high-water mark of a process's memory, while it runs. @param {number | undefined} pid */
function peakOf(pid) {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match === null ? 0 : Number(match[1]) * 1024;
  } catch {
    return 0;
  }
}

/**
 * Runs to the end with a file (or nothing) as standard input. Output goes to /dev/null. Without `memory` nothing is
 * looked at while it runs.
 * @param {Program} program @param {string[]} args @param {{ stdin?: string, memory?: boolean }} [options]
 * @returns {Promise<Measured>}
 */
export async function run({ command, args: first }, args, { stdin = '/dev/null', memory = false } = {}) {
  const input = openSync(stdin, 'r');
  const started = process.hrtime.bigint();
  const child = spawn(command, [...first, ...args], { env, stdio: [input, 'ignore', 'pipe', 'pipe'] });
  closeSync(input);
  let errors = '';
  let reported = '';
  child.stderr?.on('data', (data) => (errors += data));
  child.stdio[3]?.on('data', (data) => (reported += data));
  let peakBytes = 0;
  const watch = memory ? setInterval(() => (peakBytes = Math.max(peakBytes, peakOf(child.pid))), 5) : undefined;
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  clearInterval(watch);
  if (status !== 0) throw new Error(`${path.basename(command)} ${args.join(' ')}: exit status ${status}\n${errors}`);
  return { seconds, peakBytes: Math.max(peakBytes, Number(reported)) };
}

/**
 * Runs blkscope and, once it asks for its first command and `attend` has settled, gives it the lines of a file. The
 * seconds are those from then on to its end.
 * @param {string[]} args @param {string} stdin @param {() => Promise<void>} [attend]
 * @returns {Promise<Measured>}
 */
export async function runAttended(args, stdin, attend = async () => {}) {
  const child = spawn(blkscope.command, [...blkscope.args, ...args], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  await once(child.stdout, 'data');
  child.stdout.resume();
  await attend();
  const started = process.hrtime.bigint();
  createReadStream(stdin).pipe(child.stdin);
  const [status] = await ended;
  if (status !== 0) throw new Error(`blkscope ${args.join(' ')}: exit status ${status}`);
  return { seconds: Number(process.hrtime.bigint() - started) / 1e9, peakBytes: 0 };
}

/** Attaches a watcher on a terminal of its own to a session; settled when its panel is there. @param {string} socket */
export async function watch(socket) {
  const terminal = spawnTerminal(blkscope.command, [...blkscope.args, 'attach', socket], { cols: 120, rows: 40, env });
  await new Promise((resolve) => terminal.onData(resolve));
}

/**
 * Seconds of the processor, user and system, that a program takes from start to end: bash says what it waited for.
 * @param {Program} program @param {string[]} args @param {string} [stdin]
 */
export function processorSeconds({ command, args: first }, args, stdin = '/dev/null') {
  const script = 'TIMEFORMAT="%U %S"; input=$1; shift; { time "$@" <"$input" >/dev/null 2>&1 || exit 1; } 2>&1';
  const { status, stdout } = spawnSync('bash', ['-c', script, 'bash', stdin, command, ...first, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LC_ALL: 'C' },
  });
  const [user, system] = stdout.split(' ').map(Number);
  if (status !== 0 || user === undefined || system === undefined || Number.isNaN(user + system))
    throw new Error(`${command} ${args.join(' ')} failed`);
  return user + system;
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/**
 * Runs two programs in turn and gives the medians of their seconds.
 * @param {number} rounds @param {() => Promise<Measured>} ours @param {() => Promise<Measured>} theirs
 */
export async function inTurn(rounds, ours, theirs) {
  /** @type {number[]} */
  const a = [];
  /** @type {number[]} */
  const b = [];
  for (let round = 0; round < rounds; round++) {
    b.push((await theirs()).seconds);
    a.push((await ours()).seconds);
  }
  return { ours: median(a), theirs: median(b) };
}
