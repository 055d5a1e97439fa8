/** Runs command lines: the checks before a command, its coroutine, its failure, and what it reports in the end. */
import { BlockError, loadPart } from '../block/error.ts';
import type { TraceBus } from '../block/events/trace.ts';
import type { Coroutine } from '../block/loop/loop.ts';
import { Errno } from '../util/errno.ts';
import { type Answer, isPromise, type Pending } from '../util/steps.ts';
import {
  type Command,
  type CommandTable,
  looksOnly,
  type Outcome,
  type Report,
  type Shell,
  usageLine,
} from './command.ts';
import { CommandFailure, sayError } from './failure.ts';
import { suspendedHint } from './output/suspended-text.ts';
import type { SessionState } from './session-state.ts';
import type { SessionTimeline } from './session-timeline.ts';
import { hintClosest } from './words/closest.ts';
import { fromGdbWords } from './words/gdb-words.ts';
import { quotedWords, tokenize } from './words/tokenizer.ts';

/** A command whose coroutine has begun. */
interface RunningCommand {
  readonly command: Command;
  /** The console that asked for it; null for the session itself. */
  readonly origin: string | null;
  report: Report | null;
  coroutine: Coroutine | null;
  status: number;
  /** It is suspended, and its status is not waited for any more. */
  isDetached: boolean;
}

/** Runs the commands of a table on a session. */
export class CommandRunner implements Shell {
  readonly session: SessionState;
  readonly commands: CommandTable;
  /** Of the running command in those that run it, while the bus is told of them. */
  #depth = 0;

  constructor(session: SessionState, commands: CommandTable) {
    this.session = session;
    this.commands = commands;
  }

  /**
   * Runs one command line. 0 or the negative errno of the failure, which counts for the exit status, too; a promise
   * only if the command has to wait. A command that cannot end (its request is suspended) counts as 0 now; it goes on
   * when something wakes it, and reports then.
   */
  execute(line: string): Answer<number> {
    const { timeline, context } = this.session;
    const depth = this.#depth;
    const isTold = context.trace.active && line.trim() !== '';
    if (isTold) this.#tellBegin(context.trace, line);
    const status = timeline === null ? this.#execute(line) : this.#executeIn(timeline, line);
    return isTold ? this.#tellEnd(context.trace, depth, status) : status;
  }

  #executeIn(timeline: SessionTimeline, line: string): Answer<number> {
    return timeline.run(line, () => this.#execute(line));
  }

  /** Tells the bus of a command. */
  #tellBegin(trace: TraceBus, line: string): void {
    const { acceptsExtensions, background } = this.session;
    const client = background.origin === null ? {} : { client: background.origin };
    const syntax = acceptsExtensions ? ({ syntax: 'extended' } as const) : {};
    trace.emit(0, '', { kind: 'command', line, depth: this.#depth, ...syntax, ...client });
    this.#depth += 1;
  }

  /** Tells the bus of the failure of a command, if it is one. `depth` is that in which it began. */
  #tellEnd(trace: TraceBus, depth: number, status: Answer<number>): Answer<number> {
    if (isPromise(status)) return status.then((late) => this.#tellEnd(trace, depth, late));
    this.#depth = depth;
    if (status < 0) trace.emit(0, '', { kind: 'command-failed', depth, errno: -status });
    return status;
  }

  #execute(line: string): Answer<number> {
    const { session } = this;
    const argv = this.wordsOf(line);
    const name = argv[0];
    if (name === undefined) return 0;
    const command = this.commands.find(name);
    if (command === undefined && !this.commands.isComplete) return this.#executeOther(name, line);
    session.background.begin();
    session.loop.endHostIo();
    if (command === undefined || (command.takesLine === true && !session.acceptsExtensions)) {
      session.output.stderr(`command "${name}" not found\n`);
      hintClosest(session, name, this.commands.names);
      return this.#fail(Errno.EINVAL);
    }
    const keeping = session.beforeCommand === null || looksOnly(command, argv) ? undefined : session.beforeCommand();
    const status = keeping === undefined ? this.#start(command, argv) : this.#startAfter(keeping, command, argv);
    return session.stops === null || session.stops.isEmpty ? status : this.#showStops(status);
  }

  /** Runs a line of a command that is not loaded yet, if it is one. */
  async #executeOther(name: string, line: string): Promise<number> {
    try {
      await loadPart('its other commands', () => this.commands.complete());
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      this.session.error(`${name}: ${error.message}`);
      return this.#fail(error.errno);
    }
    return this.#execute(line);
  }

  wordsOf(line: string): string[] {
    const { session } = this;
    if (!session.acceptsExtensions) return tokenize(line);
    const argv = extendedWords(line);
    const [name] = argv;
    if (!session.output.isTerminal || name === undefined) return argv;
    // A command of qemu-io's name keeps its meaning; none of those that take no words is asked with one.
    const command = this.commands.find(name);
    const isFree = command === undefined || (command.name === 'info' && argv.length === 2);
    return (isFree ? fromGdbWords(argv) : null) ?? argv;
  }

  /** Runs what is to be run at stops that a command has led to. */
  async #showStops(status: Answer<number>): Promise<number> {
    const ended = await status;
    // A command that leads to another moment of the session has brought what was set there.
    await this.session.stops?.run(this);
    return ended;
  }

  async #startAfter(keeping: Promise<void>, command: Command, argv: string[]): Promise<number> {
    await keeping;
    return this.#start(command, argv);
  }

  /** Runs a command if it may run now. */
  #start(command: Command, argv: string[]): Answer<number> {
    const { backend, output } = this.session;
    if (command.needsFile && backend === null) {
      output.stderr("no file open, try 'help open'\n");
      return this.#fail(Errno.EINVAL);
    }
    const count = argv.length - 1;
    if ((count < command.minArgs || count > command.maxArgs) && command.acceptsAlso?.(argv, this.session) !== true) {
      const expected = expectedCount(command);
      output.stderr(`bad argument count ${count} to ${argv[0] ?? ''}, expected ${expected} arguments\n`);
      command.explainCount?.(this.session, argv);
      return this.#fail(Errno.EINVAL);
    }
    const lacksPermission = command.perm !== undefined && backend !== null && (command.perm & ~backend.root.perm) !== 0;
    // Without a disc the request itself fails, with the better reason.
    if (lacksPermission && backend.isAvailable) {
      try {
        backend.addPermissions(command.perm);
      } catch (error) {
        return this.#failure(command, error);
      }
    }
    return command.polls === true ? this.#poll(command, argv) : this.#runCoroutine(command, argv);
  }

  async runRequest(command: Command, argv: readonly string[], body: () => Promise<void>): Promise<void> {
    const status = await this.#runCoroutine(command, argv, body);
    if (status < 0) throw new CommandFailure(-status);
  }

  async #poll(command: Command, argv: string[]): Promise<number> {
    try {
      await command.run(this.session, argv, this);
      return 0;
    } catch (error) {
      return this.#failure(command, error);
    }
  }

  /** Runs `body`, or the command itself, as a coroutine. */
  #runCoroutine(command: Command, argv: readonly string[], body?: () => Promise<void>): Answer<number> {
    const { loop, background } = this.session;
    const { origin } = background;
    const running: RunningCommand = { command, origin, coroutine: null, report: null, status: 0, isDetached: false };
    const ended = loop.run(command.name, (): Pending => {
      const { session } = this;
      running.coroutine = session.loop.current;
      if (running.origin !== null && running.coroutine !== null) running.coroutine.origin = running.origin;
      try {
        const outcome: Outcome = body === undefined ? command.run(session, argv as string[], this) : body();
        if (outcome !== undefined) return this.#rest(running, outcome);
      } catch (error) {
        running.status = this.#failure(command, error, running.origin);
      }
      return undefined;
    });
    return ended === true ? running.status : this.#ending(argv, running, ended);
  }

  /** The rest of a command that has to wait. */
  async #rest(running: RunningCommand, outcome: Promise<void | Report>): Promise<void> {
    try {
      running.report = (await outcome) ?? null;
    } catch (error) {
      running.status = this.#failure(running.command, error, running.origin);
    }
    if (!running.isDetached) return;
    this.session.background.remove(running.origin);
    await this.#reported(running);
  }

  /** The status of a command that waits; 0 if it is suspended. */
  async #ending(argv: readonly string[], running: RunningCommand, ended: Promise<boolean>): Promise<number> {
    if (await ended) return this.#reported(running);
    const { background, output, transfer, wasInterrupted } = this.session;
    transfer.hide();
    running.isDetached = true;
    background.add(running.origin);
    if (output.isTerminal) output.stderr(suspendedHint(argv, running.coroutine, wasInterrupted));
    return 0;
  }

  /** The status of a command that has ended, after its report. */
  async #reported(running: RunningCommand): Promise<number> {
    try {
      await running.report?.();
    } catch (error) {
      running.status = this.#failure(running.command, error, running.origin);
    }
    return running.status;
  }

  /** The status for what a command threw, after everything about it has been said. */
  #failure(command: Command, error: unknown, origin = this.session.background.origin): number {
    if (error instanceof CommandFailure) {
      if (error.wantsUsage) this.session.output.stdout(usageLine(command, this.session.context.compat));
      error.hint?.();
    } else if (error instanceof BlockError) {
      sayError(this.session, error);
    } else {
      throw error;
    }
    return this.#fail(error.errno, origin);
  }

  /** The status of a failed command. Failures of other consoles are theirs: the session's exit status is of its own. */
  #fail(errno: number, origin = this.session.background.origin): number {
    if (origin === null) this.session.lastError = -errno;
    return -errno;
  }
}

/** The words of a line that may have quotes; behind an exclamation mark all is one word. */
function extendedWords(line: string): string[] {
  const start = line.trimStart();
  if (!start.startsWith('!')) return quotedWords(line).map(({ text }) => text);
  const rest = start.slice(1).trim();
  return rest === '' ? ['!'] : ['!', rest];
}

function expectedCount({ minArgs, maxArgs }: Command): string {
  if (maxArgs === Number.POSITIVE_INFINITY) return `at least ${minArgs}`;
  return minArgs === maxArgs ? `${minArgs}` : `between ${minArgs} and ${maxArgs}`;
}
