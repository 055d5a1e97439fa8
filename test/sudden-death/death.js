/** Runs blkscope over a script and kills it: before a certain host call, after so much output, or after some time. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bin/blkscope.js', import.meta.url));
const hook = fileURLToPath(new URL('die-at-call.cjs', import.meta.url));
const PROMPT = 'qemu-io> ';
const MOST_MS = 60_000;

/**
 * When it dies. `calls`: before the host call with this number, which `tears` lets begin. `output`: so many bytes were
 * seen. `time`: so many milliseconds after its first prompt.
 * @typedef {{ by: 'calls', at: number, tears: boolean } | { by: 'output' | 'time', at: number }} Death
 */

/**
 * How it gets the script: a file, a pipe that holds all of it, or line by line as it asks for them.
 * @typedef {'file' | 'pipe' | 'asked'} Feed
 */

/**
 * @typedef {{ args: string[], lines: readonly string[], feed: Feed, folder: string }} Run
 * @typedef {{ signal: string | null, status: number | null, replies: string[], stdout: string, stderr: string }} End
 */

/** Runs it to its own end; how many host calls there were, and how many bytes it said. @param {Run} run */
export async function rehearse(run) {
  const countFile = path.join(run.folder, 'count');
  const end = await start(run, null, { DIE_COUNT: countFile });
  if (end.status !== 0 && end.status !== 1) throw new Error(`it ended by itself with ${end.status ?? end.signal}`);
  return { ...end, calls: Number(readFileSync(countFile, 'utf8')) };
}

/** @param {Run} run @param {Death} death */
export function runUntil(run, death) {
  if (death.by !== 'calls') return start(run, death, {});
  return start(run, null, { DIE_AT: String(death.at), ...(death.tears ? { DIE_TORN: '1' } : {}) });
}

/** @param {Run} run @param {Death | null} death @param {Record<string, string>} hooked @returns {Promise<End>} */
function start({ args, lines, feed, folder }, death, hooked) {
  const preload = Object.keys(hooked).length > 0 ? ['--require', hook] : [];
  const script = path.join(folder, 'script');
  writeFileSync(script, lines.map((line) => `${line}\n`).join(''));
  const input = feed === 'file' ? openSync(script, 'r') : 'pipe';
  const child = spawn(process.execPath, [...preload, program, ...args], {
    cwd: folder,
    stdio: [input, 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, LC_ALL: 'C', ...hooked },
  });
  if (typeof input === 'number') closeSync(input);
  const { stdin } = child;
  // It dies with unread input.
  stdin?.on('error', () => {});
  if (feed === 'pipe') stdin?.end(lines.map((line) => `${line}\n`).join(''));

  let stdout = '';
  let stderr = '';
  let asked = 0;
  const kill = () => void child.kill('SIGKILL');
  let timer = setTimeout(kill, MOST_MS);
  child.stderr?.on('data', (data) => (stderr += data));
  child.stdout?.on('data', (/** @type {Buffer} */ data) => {
    if (stdout === '' && death?.by === 'time') {
      clearTimeout(timer);
      timer = setTimeout(kill, death.at);
    }
    stdout += data.toString('latin1');
    if (death?.by === 'output' && stdout.length >= death.at) kill();
    if (feed !== 'asked') return;
    for (const prompts = stdout.split(PROMPT).length - 1; asked < prompts; asked++) {
      const line = lines[asked];
      if (line === undefined) stdin?.end();
      else stdin?.write(`${line}\n`);
    }
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      // What follows a prompt answers its command, once there is another prompt.
      resolve({ signal, status, replies: stdout.split(PROMPT).slice(1, -1), stdout, stderr });
    });
  });
}
