/** The program: arguments, wiring, exit status. */
import { BlockError } from '../block/error.ts';
import { runLines, runList } from '../shell/script.ts';
import type { Session } from '../shell/session.ts';
import { isTerminal } from '../sys/terminal.ts';
import { type Invocation, parseArguments } from './arguments.ts';
import { ImageExports } from './exports.ts';
import { openInput, type StoppableSource } from './input.ts';
import { dieOf, type FatalSignal, onFatalSignals } from './signals.ts';
import { Stdio } from './stdio.ts';
import { Views } from './views.ts';
import { makeSession, openImage } from './wiring.ts';

class Program {
  readonly #stdio: Stdio;
  readonly #name: string;
  readonly #words: readonly string[];
  #session: Session | null = null;
  #source: StoppableSource | null = null;
  /** The signal that asked for the end. */
  #signal: FatalSignal | null = null;

  constructor(words: readonly string[]) {
    this.#words = words;
    this.#stdio = new Stdio();
    // Who reads a pipe expects qemu-io.
    this.#name = this.#stdio.stdoutIsTerminal ? 'blkscope' : 'qemu-io';
  }

  async run(): Promise<never> {
    // Nothing is left that could go on, and yet we wait: better a message than an exit that looks like success.
    process.once('beforeExit', () => {
      this.#stdio.end();
      process.exit(this.#explain(new Error('nothing is left to wait for')));
    });
    let status: number;
    try {
      status = await this.#main();
    } catch (error) {
      status = this.#explain(error);
    }
    this.#stdio.end();
    if (this.#signal !== null) dieOf(this.#signal);
    process.exit(status);
  }

  async #main(): Promise<number> {
    const stdio = this.#stdio;
    if (stdio.stdoutIsTerminal) stdio.paint = (await import('./style.ts')).terminalPaint();
    const [first] = this.#words;
    // As qemu-io's operands these would be one too many, or an unknown option.
    if ((first === 'attach' || first === 'report') && this.#words.length > 1) {
      const { runSubcommand } = await import('./subcommands.ts');
      return runSubcommand(this.#words, stdio);
    }
    const invocation = parseArguments(this.#words, {
      programName: this.#name,
      isTerminal: stdio.stdoutIsTerminal,
      stdout: (text) => stdio.stdout(text),
      stderr: (text) => stdio.stderr(text),
    });
    if (typeof invocation === 'number') return invocation;

    const session = makeSession(invocation, stdio, this.#name);
    this.#session = session;
    onFatalSignals((signal) => this.#stop(signal));
    if (invocation.wantsTrace && stdio.isTerminal) session.warn("QEMU's trace events do not exist here");
    const views = new Views(session, stdio, this.#words);
    session.exports = new ImageExports(session);
    try {
      if (invocation.record !== null) await views.startRecording(invocation.record);
      if (invocation.monitor !== null) await views.startMonitor(invocation.monitor);
      if (!(await openImage(session, invocation))) return 1;
      try {
        await this.#runCommands(session, invocation, views);
      } finally {
        await session.close();
      }
    } finally {
      await views.close();
    }
    return session.exitStatus;
  }

  async #runCommands(session: Session, invocation: Invocation, views: Views): Promise<void> {
    const { stdoutIsTerminal } = this.#stdio;
    const isInteractive = stdoutIsTerminal && isTerminal(0) && invocation.commands.length === 0;
    if (isInteractive && invocation.demo) await this.#greet();
    if (stdoutIsTerminal && (invocation.live || (isInteractive && invocation.demo))) await views.setLive(true);
    if (invocation.commands.length > 0) {
      await runList(session.shell, invocation.commands);
      return;
    }
    await (isInteractive ? this.#converse(session, views) : this.#runInput(session));
    this.#source?.stop();
  }

  async #runInput(session: Session): Promise<void> {
    this.#source = openInput();
    if (this.#signal === null) await runLines(session.shell, this.#source, `${this.#name}> `);
  }

  async #greet(): Promise<void> {
    const { demoGreeting } = await import('./demo.ts');
    this.#stdio.stdout(demoGreeting);
  }

  async #converse(session: Session, views: Views): Promise<void> {
    const { openTerminal } = await import('./terminal.ts');
    const terminal = openTerminal(session, this.#stdio, views);
    this.#source = terminal;
    // An error ends a script, with `bail on`, but no conversation.
    while (this.#signal === null && !session.quitRequested && !terminal.isEnded)
      await runLines(session.shell, terminal, null);
  }

  /** A signal: what runs is interrupted, nothing more is run, and the image is closed. Another one does not wait. */
  #stop(signal: FatalSignal): void {
    if (this.#signal !== null || this.#session === null) {
      this.#stdio.end();
      dieOf(signal);
    }
    this.#signal = signal;
    this.#session.quitRequested = true;
    this.#session.interrupt();
    this.#source?.stop();
  }

  /** The exit status for what nothing caught, after saying it in a line. */
  #explain(error: unknown): number {
    const what = error instanceof BlockError ? error.message : `internal error: ${describe(error)}`;
    this.#stdio.stderr(`${this.#name}: ${what}\n`);
    return 1;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return process.env.BLKSCOPE_DEBUG === undefined ? error.message : (error.stack ?? error.message);
}

void new Program(process.argv.slice(2)).run();
