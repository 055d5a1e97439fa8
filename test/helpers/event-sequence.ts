/**
 * The exact sequence of blkdebug events of asynchronous requests, as a program fires them.
 *
 * A breakpoint is set on every event. Each time the request suspends, the event is noted, the breakpoint is set anew
 * under a fresh tag and the request is resumed, until it says how it ended.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { plainEnvironment, type Program } from './run-program.ts';
import { eventNames } from '../../src/block/events/events.ts';

const PROMPT = 'qemu-io> ';
const suspended = /blkdebug: Suspended request '([a-z0-9_]+)\.(\d+)'\n/g;
const ended =
  /(?:^|> )((?:wrote|read) \d+\/\d+ bytes at offset \d+|(?:aio_write|readv|writev|read|write) failed: .*)\n/gm;

class Session {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #limitMs: number;
  #output = '';
  #closed = false;
  #notify: () => void = () => {};
  /** Up to where the output has been looked at for events. */
  position = 0;
  #prompts = 0;

  constructor(program: Program, args: readonly string[], cwd: string, limitMs: number) {
    this.#limitMs = limitMs;
    this.#child = spawn(program.command, [...program.args, ...args], {
      cwd,
      env: { ...plainEnvironment(), ...program.env },
      stdio: 'pipe',
    });
    const take = (data: Buffer) => {
      this.#output += data.toString('latin1');
      this.#notify();
    };
    this.#child.stdout.on('data', take);
    this.#child.stderr.on('data', take);
    this.#child.stdin.on('error', () => {});
    this.#child.on('close', () => {
      this.#closed = true;
      this.#notify();
    });
  }

  get output(): string {
    return this.#output;
  }

  async #until<T>(look: () => T | undefined): Promise<T> {
    const end = Date.now() + this.#limitMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left = end - Date.now();
      if (this.#closed || left <= 0) throw new Error(`no answer; so far:\n${this.#output.slice(-2000)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits for the next prompt. */
  async prompt(): Promise<void> {
    const wanted = this.#prompts + 1;
    await this.#until(() => (this.#output.split(PROMPT).length - 1 >= wanted ? true : undefined));
    this.#prompts = wanted;
  }

  /** Gives one command; qemu-io 7.2 wants one line at a time. */
  async command(line: string): Promise<void> {
    this.#child.stdin.write(`${line}\n`);
    await this.prompt();
  }

  /** The next suspension or end of a request. */
  next(): Promise<{ event: string; serial: number } | { end: string }> {
    return this.#until(() => {
      suspended.lastIndex = this.position;
      ended.lastIndex = this.position;
      const stop = suspended.exec(this.#output);
      const finish = ended.exec(this.#output);
      if (stop !== null && (finish === null || stop.index < finish.index)) {
        this.position = suspended.lastIndex;
        return { event: stop[1] ?? '', serial: Number(stop[2]) };
      }
      if (finish === null) return undefined;
      this.position = ended.lastIndex - 1;
      return { end: finish[1] ?? '' };
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Lines: each request, its events indented, and the line that ended it after `= `. */
export async function eventSequence(
  program: Program,
  imageOptions: string,
  setup: readonly string[],
  requests: readonly string[],
  cwd: string,
  limitMs = 10_000,
): Promise<string[]> {
  const session = new Session(program, ['--image-opts', imageOptions], cwd, limitMs);
  const lines: string[] = [];
  try {
    await session.prompt();
    for (const command of setup) await session.command(command);
    session.position = session.output.length;
    const serials = new Map<string, number>();
    const arm = async (event: string) => {
      const serial = (serials.get(event) ?? -1) + 1;
      serials.set(event, serial);
      await session.command(`break ${event} ${event}.${serial}`);
    };
    for (const event of eventNames) await arm(event);
    for (const request of requests) {
      lines.push(request);
      await session.command(request);
      for (;;) {
        const step = await session.next();
        if ('end' in step) {
          lines.push(`  = ${step.end}`);
          break;
        }
        lines.push(`  ${step.event}`);
        await arm(step.event);
        await session.command(`resume ${step.event}.${step.serial}`);
      }
    }
  } finally {
    session.kill();
  }
  return lines;
}
