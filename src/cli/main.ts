/** The program: arguments, wiring, exit status. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { BlockError, invalidArgument } from '../block/error.ts';
import { runLines, runList } from '../shell/script.ts';
import type { Output } from '../shell/output/output.ts';
import { CommandFailure } from '../shell/failure.ts';
import type { Session } from '../shell/session.ts';
import { isTerminal } from '../sys/tty.ts';
import { hostErrno, strerror } from '../util/errno.ts';
import { Exit, type Invocation, parseArguments, subcommandNames } from './command-line.ts';
import type { Settings } from './user-settings.ts';
import { ImageExports } from './exports.ts';
import type { RoutedOutput } from './routed-output.ts';
import { serveClients, startExports } from './serve.ts';
import { limitInlining } from './inlining.ts';
import { openInput, type StoppableSource } from './input.ts';
import { dieOf, exitNow, type FatalSignal, onFatalSignals } from './signals.ts';
import { Stdio } from './stdio.ts';
import { Views } from './views.ts';
import { makeSession, openImage, type SessionPlace } from './wiring.ts';

const QEMU_IO = 'qemu-io';

/** A command line that asks for a session. */
interface SessionInvocation extends Invocation {
  /** It is a server, without a shell. */
  readonly serves: boolean;
}

/** One run of the program. */
class Program {
  readonly #stdio: Stdio;
  /** Of messages, and the prompt in a pipe. */
  #name: string;
  /** Called through a link named qemu-io: like that program in everything, on a terminal too. */
  readonly #isDropIn = basename(process.argv[1] ?? '') === QEMU_IO;
  readonly #words: readonly string[];
  #session: Session | null = null;
  #source: StoppableSource | null = null;
  /** The signal that asked for the end. */
  #signal: FatalSignal | null = null;

  constructor(words: readonly string[]) {
    this.#words = words;
    this.#stdio = new Stdio();
    // The reader of a pipe expects qemu-io, which has no subcommands.
    const isOwn = this.#stdio.stdoutIsTerminal || this.#isSubcommand();
    this.#name = isOwn && !this.#isDropIn ? 'blkscope' : QEMU_IO;
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
    await this.#stdio.drained();
    this.#stdio.end();
    // A server is told to end by a signal; it has not failed then.
    if (this.#signal !== null && !this.#isServe()) dieOf(this.#signal);
    const alive = this.#session === null ? [] : [...this.#session.loop.alive];
    if (alive.some(({ waitsFor }) => waitsFor?.kind === 'key')) exitNow(status);
    process.exit(status);
  }

  async #main(): Promise<number> {
    const stdio = this.#stdio;
    const settings = await this.#readSettings();
    if (stdio.stdoutIsTerminal) stdio.paint = (await import('./paint.ts')).terminalPaint(settings?.colours);
    if (this.#isSubcommand() && !this.#isServe()) return this.#runSubcommand();
    const serves = this.#isServe();
    const invocation = await parseArguments(serves ? this.#words.slice(1) : this.#words, {
      programName: this.#name,
      stdout: (text) => stdio.stdout(text),
      stderr: (text) => stdio.stderr(text),
    });
    if (invocation instanceof Exit) {
      if (invocation.wantsUsage) stdio.stdout((await import('./program.ts')).helpText(this.#name, stdio.columns));
      return invocation.status;
    }
    checkServe(serves, invocation);
    if (invocation.prompt?.startsWith(QEMU_IO) === true) this.#name = QEMU_IO;
    return this.#runSession({ ...invocation, serves }, settings);
  }

  /** Runs a subcommand that has no session; its exit status. */
  async #runSubcommand(): Promise<number> {
    const search = this.#asksForHelp() ? undefined : await findSearch(this.#words[0]);
    if (search !== undefined) return search(this.#words.slice(1), this.#stdio);
    const { runSubcommand } = await import('./subcommands.ts');
    return runSubcommand(this.#words, this.#stdio);
  }

  /** Makes the session with its views, opens the image, runs the commands, and closes all of it; the exit status. */
  async #runSession(invocation: SessionInvocation, settings: Settings | null): Promise<number> {
    const stdio = this.#stdio;
    const { monitor, record, sandbox } = invocation;
    const routed = monitor === null ? null : new (await import('./routed-output.ts')).RoutedOutput(stdio);
    const place = await this.#makePlace(invocation, routed ?? stdio);
    const { session } = place;
    this.#session = session;
    onFatalSignals((signal) => this.#stop(signal));
    if (invocation.wantsTrace && stdio.isTerminal) session.warn("QEMU's trace events do not exist here");
    const views = new Views(session, stdio, this.#words);
    if (!sandbox) session.exports = this.#makeExports(session, routed);
    try {
      if (record !== null) await views.startRecording(record);
      if (monitor !== null && routed !== null) await views.startMonitor(monitor, routed, () => this.#endSession());
      if (!(await place.open())) return 1;
      try {
        await this.#runCommands(session, invocation, views, settings);
      } finally {
        place.end();
        await session.close();
      }
    } finally {
      await views.close();
      place.close();
    }
    return session.exitStatus;
  }

  /** The exports of a session; what they tell is the session's own, also while a client's command runs. */
  #makeExports(session: Session, routed: RoutedOutput | null): ImageExports {
    // A client that comes or leaves ends the sleep of the loop.
    const changed = (): void => session.loop.schedule(() => {});
    const own = (body: () => void): void => (routed === null ? body() : routed.captured(this.#stdio, body));
    return new ImageExports(session, { changed, tell: (line) => own(() => session.error(line)) });
  }

  /** The session, and its image: on the files themselves, or on a copy. */
  async #makePlace(invocation: Invocation, output: Output): Promise<SessionPlace> {
    if (invocation.sandbox) {
      return (await import('./sandboxed.ts')).makeSandboxed(invocation, output, this.#name);
    }
    const session = makeSession(invocation, output, this.#name);
    return { session, open: () => openImage(session, invocation), end: () => {}, close: () => {} };
  }

  /** The user's settings; null where there is no terminal, or where this is to be qemu-io. */
  async #readSettings(): Promise<Settings | null> {
    if (!this.#stdio.stdoutIsTerminal || !isTerminal(0) || this.#isDropIn) return null;
    const { readSettings, settingsFile } = await import('./user-settings.ts');
    const { commandTable } = await import('../shell/commands/index.ts');
    const isCommand = (name: string): boolean => commandTable.find(name) !== undefined;
    return readSettings(settingsFile(), isCommand, (text) => this.#stdio.stderr(`${this.#name}: ${text}\n`));
  }

  /** Whether the words are for a subcommand. Alone, such a word is the image if there is a file of that name. */
  #isSubcommand(): boolean {
    const [first = '', ...more] = this.#words;
    return !this.#isDropIn && subcommandNames.has(first) && (more.length > 0 || !existsSync(first));
  }

  /** Whether this is a server without a shell. Its help is that of any subcommand. */
  #isServe(): boolean {
    return this.#isSubcommand() && this.#words[0] === 'serve' && !this.#asksForHelp();
  }

  #asksForHelp(): boolean {
    return this.#words.some((word) => word === '--help' || word === '-h');
  }

  /** Whether a person types the commands. */
  #isInteractive({ commands, serves }: SessionInvocation): boolean {
    return this.#stdio.stdoutIsTerminal && isTerminal(0) && commands.length === 0 && !serves;
  }

  async #runCommands(
    session: Session,
    invocation: SessionInvocation,
    views: Views,
    settings: Settings | null,
  ): Promise<void> {
    const { commands, demo, exports } = invocation;
    const isInteractive = this.#isInteractive(invocation);
    const isLive = invocation.live || (isInteractive && (demo || settings?.live === true));
    await this.#showPanel(views, settings, isLive);
    // Below the panel, which shows it again after a resize.
    if (isInteractive && demo) await this.#greet();
    if (isInteractive && settings !== null) await this.#runSources(session, settings);
    for (const script of invocation.scripts) {
      if (!(await this.#runScript(session, script)) && !isInteractive) return;
    }
    if (invocation.serves) return this.#serve(session, invocation);
    await startExports(session, exports);
    if (commands.length > 0) {
      await runList(session.shell, commands);
      return;
    }
    await (isInteractive ? this.#converse(session, views, invocation, settings) : this.#runInput(session, invocation));
    this.#source?.stop();
  }

  /** Runs the files that the user's settings begin a session with. */
  async #runSources(session: Session, { sources, aliases }: Settings): Promise<void> {
    const { withoutAlias } = await import('./user-settings.ts');
    for (const file of sources) await this.#runScript(session, file, (line) => withoutAlias(line, aliases));
  }

  /** Runs the commands, and serves the clients of the exports to their end. */
  async #serve(session: Session, { commands, exports, once }: Invocation): Promise<void> {
    // No client comes before the rules that the commands add, or without those that they failed to add.
    const status = await runList(session.shell, commands);
    if (session.quitRequested || (status < 0 && session.bail)) return;
    await startExports(session, exports);
    await serveClients(session, once);
  }

  /** Applies the user's settings to the panel, and shows it if that is wanted and can be done. */
  async #showPanel(views: Views, settings: Settings | null, isLive: boolean): Promise<void> {
    if (settings !== null) {
      views.panelColumns = settings.panelColumns;
      if (settings.panelRows !== null) views.setLiveRows(settings.panelRows);
    }
    if (this.#stdio.hasCursor && isLive) await views.setLive(true);
  }

  async #runInput(session: Session, { prompt }: Invocation): Promise<void> {
    this.#source = openInput();
    limitInlining();
    if (this.#signal === null) await runLines(session.shell, this.#source, prompt ?? `${this.#name}> `);
  }

  /** Runs the commands of a file. False if it cannot be read, or a command failed with `bail` set. */
  async #runScript(session: Session, file: string, change = (line: string): string => line): Promise<boolean> {
    if (this.#signal !== null || session.quitRequested) return false;
    try {
      // A sandbox runs its lines again as those of standard input.
      if (session.timeline !== null) session.timeline.settles = true;
      const { runFile } = await import('../shell/commands/source.ts');
      const status = await runFile(session.shell, file, { change });
      return status >= 0 || !session.bail;
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      session.lastError = -error.errno;
      return false;
    }
  }

  async #greet(): Promise<void> {
    const { demoGreeting } = await import('./demo.ts');
    this.#stdio.stdout(demoGreeting(this.#stdio.columns));
  }

  async #converse(session: Session, views: Views, { prompt }: Invocation, settings: Settings | null): Promise<void> {
    // Words are completed, and those of gdb are told from commands.
    await session.shell.commands.complete();
    const { Terminal } = await import('./terminal.ts');
    const { onHangUp } = await import('./host-terminal.ts');
    const plainPrompt = prompt ?? (this.#isDropIn ? 'qemu-io> ' : (settings?.prompt ?? null));
    const quit = (): void => this.#stop('SIGQUIT');
    // A program that waits for a prompt of its own turns no pages.
    const pages = prompt === null && !this.#isDropIn;
    const terminal = new Terminal(session, this.#stdio, views, { plainPrompt, settings, pages, quit });
    onHangUp(() => this.#stop('SIGHUP'));
    this.#source = terminal;
    // An error ends a script, with `bail on`, but no conversation.
    while (this.#signal === null && !session.quitRequested && !terminal.isEnded)
      await runLines(session.shell, terminal, null);
  }

  /** A signal: what runs is interrupted, nothing more is run, and the image is closed. Another one does not wait. */
  #stop(signal: FatalSignal): void {
    // The kernel and a shell may both say that the terminal has gone.
    if (signal === 'SIGHUP' && this.#signal === 'SIGHUP') return;
    // Its reader may be the one that will not take more.
    this.#stdio.abandonBacklog();
    if (this.#signal !== null || this.#session === null) {
      this.#stdio.end();
      dieOf(signal);
    }
    this.#signal = signal;
    this.#endSession();
  }

  /** The running command is interrupted, nothing more is run, and the image is closed. */
  #endSession(): void {
    if (this.#session !== null) this.#session.quitRequested = true;
    this.#session?.interrupt();
    this.#source?.stop();
  }

  /** The exit status for what nothing caught, after saying it in a line. */
  #explain(error: unknown): number {
    const what = error instanceof BlockError ? error.message : describe(error);
    this.#stdio.stderr(`${this.#name}: ${what}\n`);
    return 1;
  }
}

/** Options that only a server has, or needs; EINVAL. */
function checkServe(serves: boolean, { exports, monitor, once, sandbox }: Invocation): void {
  if (serves && exports.length === 0 && monitor === null)
    throw invalidArgument('serve needs --export ADDRESS or --monitor SOCKET');
  if (serves && sandbox)
    throw invalidArgument('--sandbox has no meaning with serve: who is served cannot go back in time');
  if (!serves && once) throw invalidArgument('--once is an option of blkscope serve');
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `internal error: ${String(error)}`;
  const { code } = error as NodeJS.ErrnoException;
  // The host has none left, which is no fault of the program.
  if (code === 'EMFILE' || code === 'ENFILE') return strerror(hostErrno(error));
  const details = process.env.BLKSCOPE_DEBUG === undefined ? undefined : error.stack;
  return `internal error: ${details ?? error.message}`;
}

type SearchRun = (words: readonly string[], stdio: Stdio) => Promise<number>;

/** The search of this name; undefined if there is none. */
async function findSearch(name: string | undefined): Promise<SearchRun | undefined> {
  const { strategies } = await import('./search/search-words.ts');
  const strategy = strategies.find((known) => known.name === name);
  if (strategy === undefined) return undefined;
  const { runSearch } = await import('./search/search-program.ts');
  return (words, stdio) => runSearch(strategy, words, stdio);
}

// A search starts the program anew for each of its threads.
if (process.argv[2] === '--search-worker') void import('./search/search-worker.ts').then((it) => it.runSearchWorker());
else void new Program(process.argv.slice(2)).run();
