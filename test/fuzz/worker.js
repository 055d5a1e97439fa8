/** The program as a process that is given the commands of many cases, one case after the other. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HANG_MS } from './verdict.js';

/** @typedef {import('./verdict.js').Reply} Reply */

const program = fileURLToPath(new URL('../../bin/blkscope.js', import.meta.url));
const watcher = fileURLToPath(new URL('watch-allocations.cjs', import.meta.url));
/** No command has this name: that it is not found tells us that everything before it is done. */
const MARKER = 'end-of-case';
const markerAnswer = `command "${MARKER}" not found\n`;
/** Of output that is kept of a case; `map` of a hostile image is long. */
const MAX_OUTPUT_CHARS = 2 ** 24;

/** The high-water mark of a process's memory; 0 where the host does not tell. @param {number | undefined} pid */
function peakOf(pid) {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return match === null ? 0 : Number(match[1]) * 1024;
  } catch {
    return 0;
  }
}

/**
 * The seconds of processor time that a process has had; 0 where the host does not tell.
 * @param {number | undefined} pid
 */
function cpuSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

export class Worker {
  /** Its memory before the first case. */
  idleBytes = 0;
  casesRun = 0;
  isAlive = true;
  #child;
  #stdout = '';
  #stderr = '';
  #exit = '';
  /** Called when something arrived. */
  #arrived = () => {};

  /** @param {readonly string[]} args @param {string} folder Where it runs. */
  constructor(args, folder) {
    this.#child = spawn(process.execPath, ['--require', watcher, program, ...args], {
      cwd: folder,
      stdio: 'pipe',
      env: { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, LC_ALL: 'C', TERM: 'dumb' },
    });
    // A program that has ended does not read the rest.
    this.#child.stdin.on('error', () => {});
    this.#child.stdout.setEncoding('latin1').on('data', (/** @type {string} */ data) => {
      if (this.#stdout.length < MAX_OUTPUT_CHARS) this.#stdout += data;
    });
    this.#child.stderr.setEncoding('latin1').on('data', (/** @type {string} */ data) => {
      // The end is what matters.
      this.#stderr = (this.#stderr.length < MAX_OUTPUT_CHARS ? this.#stderr : this.#stderr.slice(-10_000)) + data;
      this.#arrived();
    });
    this.#child.on('close', (status, signal) => {
      this.isAlive = false;
      this.#exit = signal ?? String(status);
      this.#arrived();
    });
  }

  /** Waits until it is ready for its first command. @param {readonly string[]} args @param {string} folder */
  static async start(args, folder) {
    const worker = new Worker(args, folder);
    await worker.run([]);
    worker.idleBytes = peakOf(worker.#child.pid);
    return worker;
  }

  /** Runs commands; a program that hangs is killed. @param {readonly string[]} lines @returns {Promise<Reply>} */
  run(lines) {
    return this.#reply([...lines, MARKER, ''].join('\n'), () => this.#stderr.endsWith(markerAnswer));
  }

  /** Gives it its whole input and waits for its end. @param {readonly string[]} lines */
  runToEnd(lines) {
    this.#child.stdin.end([...lines, ''].join('\n'), 'latin1');
    return this.#reply('', () => false);
  }

  /** @param {string} input @param {() => boolean} isReady @returns {Promise<Reply>} */
  async #reply(input, isReady) {
    this.#stdout = '';
    this.#stderr = '';
    let isLate = false;
    const startMs = Date.now();
    const startSeconds = cpuSeconds(this.#child.pid);
    // Others may have the processor: what counts is the time that the program had.
    const watch = setInterval(() => {
      const seconds = cpuSeconds(this.#child.pid) - startSeconds;
      const ms = Date.now() - startMs;
      if (ms < HANG_MS || (seconds > 0 && seconds < HANG_MS / 1000 && ms < 12 * HANG_MS)) return;
      isLate = true;
      this.#child.kill('SIGKILL');
    }, 500);
    const settled = new Promise((/** @type {(value: void) => void} */ resolve) => {
      this.#arrived = () => {
        if (!this.isAlive || isReady()) resolve();
      };
    });
    if (input !== '' && this.isAlive) this.#child.stdin.write(input, 'latin1');
    this.#arrived();
    await settled;
    clearInterval(watch);
    // What the other pipe still holds was written before.
    await new Promise(setImmediate);
    const state = isLate ? 'hangs' : this.isAlive ? 'ready' : 'ended';
    const peakBytes = this.isAlive ? peakOf(this.#child.pid) : 0;
    return { stdout: this.#stdout, stderr: this.#stderr, state, exit: this.#exit, peakBytes };
  }

  async stop() {
    if (!this.isAlive) return;
    const ended = new Promise((resolve) => this.#child.on('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
