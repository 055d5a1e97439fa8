/** Runs many cases in one process of the program, and finds the one that it did not survive. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bin/blkscope.js', import.meta.url));
const reporter = fileURLToPath(new URL('../bench/report-usage.cjs', import.meta.url));

/** A case that says nothing for so long hangs: in time of the processor, or without using any. */
const HANG_MS = 5000;
const IDLE_HANG_MS = 30_000;
const LOOK_MS = 500;
/** Clock ticks of `/proc/PID/stat`. */
const TICK_MS = 10;
/** The program itself, the largest caches of an image and its backing file, and 256 MiB besides. */
const MAX_MEMORY_BYTES = (90 + 2 * 33 + 256) * 2 ** 20;
/** What a crash looks like in the output. */
const CRASH =
  /^\s+at .+:\d+:\d+\)?$|internal error|\b(?:Type|Range|Reference|Syntax)Error\b|heap out of memory|FATAL ERROR/m;

/**
 * @typedef {object} Case
 * @property {string} name a word
 * @property {string} about for people
 * @property {readonly string[]} lines commands
 * @property {() => string | null} [complaint] what is wrong with what it left behind
 */

/** @typedef {{ one: Case, what: string, output: string }} Find */

/** What a process has had of the processor. @param {number | undefined} pid */
function processorMs(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    // It has ended.
    return 0;
  }
}

/** What the program answers to a command that it does not know. @param {string} name */
const mark = (name) => `command "done-${name}" not found`;

/**
 * One process for all of them. Null if they went well; otherwise the first case with which something was wrong.
 * @param {readonly Case[]} cases @param {string} folder @returns {Promise<Find | null>}
 */
export function runBatch(cases, folder) {
  const args = ['--require', reporter, program];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, BLKSCOPE_DEBUG: '1', HOME: folder },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  // The pipes that are asked for exist.
  const [stdin, stdout, stderr, usage] =
    /** @type {[import('node:stream').Writable, ...import('node:stream').Readable[]]} */ (child.stdio);
  let done = 0;
  let output = '';
  let reported = '';
  let isHanging = false;
  let since = { ms: performance.now(), processorMs: 0 };
  const moved = () => {
    since = { ms: performance.now(), processorMs: processorMs(child.pid) };
  };
  // Other work on the machine is no reason to call the program slow.
  const timer = setInterval(() => {
    const isBusy = processorMs(child.pid) - since.processorMs > HANG_MS;
    if (!isBusy && performance.now() - since.ms < IDLE_HANG_MS) return;
    isHanging = true;
    child.kill('SIGKILL');
  }, LOOK_MS);
  const take = (/** @type {string} */ text) => {
    output += text;
    for (;;) {
      const one = cases[done];
      const at = one === undefined ? -1 : output.indexOf(mark(one.name));
      if (at < 0 || CRASH.test(output.slice(0, at))) return;
      output = output.slice(at);
      done += 1;
      moved();
    }
  };
  for (const stream of [stdout, stderr]) stream?.setEncoding('utf8').on('data', take);
  usage?.setEncoding('utf8').on('data', (text) => (reported += text));
  stdin.on('error', () => {
    // The program has ended before it had read everything; its exit tells more.
  });
  stdin.end(`${cases.flatMap(({ name, lines }) => [...lines, `done-${name}`]).join('\n')}\n`);
  return new Promise((resolve) => {
    child.on('close', (_status, signal) => {
      clearInterval(timer);
      const find = (/** @type {Case} */ one, /** @type {string} */ what) =>
        resolve({ one, what, output: output.slice(-4000) });
      const current = cases[done];
      if (current !== undefined) {
        const how = signal === null ? 'the program ended' : `the program died of ${signal}`;
        find(current, isHanging ? `hangs for ${HANG_MS} ms` : how);
        return;
      }
      for (const one of cases) {
        const complaint = one.complaint?.() ?? null;
        if (complaint !== null) return find(one, complaint);
      }
      const last = cases.at(-1);
      const memory = Number(reported);
      if (last !== undefined && memory > MAX_MEMORY_BYTES) {
        return find(last, `${Math.round(memory / 2 ** 20)} MiB of memory`);
      }
      resolve(null);
    });
  });
}
