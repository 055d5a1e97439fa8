/** Runs a program to its end on given standard input, with a limit of time, and gives back what it said. */
import { spawn } from 'node:child_process';
import path from 'node:path';

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit status as text, the name of the signal that ended it, or `timeout`. */
  readonly exit: string;
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The program under test, run by the Node that runs the tests. `BLKSCOPE=qemu-io` tries the tests on the real one. */
export const blkscope: Program =
  process.env.BLKSCOPE === undefined
    ? { command: process.execPath, args: [path.resolve(import.meta.dirname, '../../bin/blkscope.js')] }
    : { command: process.env.BLKSCOPE, args: [] };

/** The oracle. */
export const qemuIo: Program = { command: process.env.QEMU_IO ?? 'qemu-io', args: [] };

/** Runs to the end; after `timeoutMs` the program is killed. */
export function runProgram(
  program: Program,
  args: readonly string[],
  { cwd, stdin = '', timeoutMs = 50_000 }: { cwd: string; stdin?: string; timeoutMs?: number },
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const env = { ...plainEnvironment(), ...program.env };
    const child = spawn(program.command, [...program.args, ...args], { cwd, stdio: 'pipe', env });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (data: Buffer) => out.push(data));
    child.stderr.on('data', (data: Buffer) => err.push(data));
    // A program that ends without reading all of its input closes the pipe under us.
    child.stdin.on('error', () => {});
    child.on('error', reject);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({
        stdout: Buffer.concat(out).toString('latin1'),
        stderr: Buffer.concat(err).toString('latin1'),
        exit: timedOut ? 'timeout' : (signal ?? String(status)),
      });
    });
    child.stdin.end(stdin, 'latin1');
  });
}

/**
 * Messages in English, no colours, nothing of the test runner; `npm run coverage` has what the program reaches counted.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, PROGRAM_COVERAGE, BLKSCOPE_COMPAT } = process.env;
  const counting = PROGRAM_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE: PROGRAM_COVERAGE };
  const compat = BLKSCOPE_COMPAT === undefined ? {} : { BLKSCOPE_COMPAT };
  return { PATH, HOME, TMPDIR, LC_ALL: 'C', TERM: 'dumb', ...counting, ...compat };
}
