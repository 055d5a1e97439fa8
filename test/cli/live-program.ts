/** A running program that a test talks to: it writes, waits for what it expects to read, and sees the end. */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { blkscope, plainEnvironment, type Program } from '../helpers/run-program.ts';

/** Collects text and wakes what waits for a part of it. */
export class Transcript {
  text = '';
  #position = 0;
  #waiters: (() => void)[] = [];
  #isOver = false;

  add(text: string): void {
    this.text += text;
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Waits until `part` has come, behind what was waited for before. Fails if the text ends without it. */
  async until(part: string): Promise<void> {
    for (;;) {
      const found = this.text.indexOf(part, this.#position);
      if (found >= 0) {
        this.#position = found + part.length;
        return;
      }
      if (this.#isOver) throw new Error(`${JSON.stringify(part)} never came; there was ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }
}

export interface LiveProgram {
  readonly child: ChildProcess;
  readonly out: Transcript;
  readonly err: Transcript;
  readonly write: (text: string) => void;
  /** The exit status as text, or the name of the signal. */
  readonly exit: Promise<string>;
}

/** Starts blkscope with pipes. */
export function startProgram(
  args: readonly string[],
  cwd: string,
  stdio: StdioOptions = 'pipe',
  program: Program = blkscope,
): LiveProgram {
  const child = spawn(program.command, [...program.args, ...args], { cwd, stdio, env: plainEnvironment() });
  const out = new Transcript();
  const err = new Transcript();
  child.stdout?.on('data', (data: Buffer) => out.add(data.toString()));
  child.stdout?.on('end', () => out.end());
  child.stderr?.on('data', (data: Buffer) => err.add(data.toString()));
  child.stderr?.on('end', () => err.end());
  child.stdin?.on('error', () => {});
  const exit = new Promise<string>((resolve) => {
    child.on('close', (status, signal) => resolve(signal ?? String(status)));
  });
  return { child, out, err, exit, write: (text) => void child.stdin?.write(text) };
}
