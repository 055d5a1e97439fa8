/** A session: an open image, the commands that work on it, and the requests that they started. */
import type { KnownDriver } from '../block/driver.ts';
import type { OverlayMaker } from '../block/open/overlay.ts';
import type { BlockBackend } from '../block/backend.ts';
import { type Clock, systemClock } from '../block/loop/clock.ts';
import { cancelSuspended, nodesWithRules, suspendedRequests } from '../block/debug/debug.ts';
import type { Pending } from '../util/steps.ts';
import { BlockError } from '../block/error.ts';
import { closeBackend } from '../block/graph/graph.ts';
import { type Coroutine, EventLoop, type RequestLabel } from '../block/loop/loop.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { GraphContext } from '../block/graph/context.ts';
import { openBackend } from '../block/open/open.ts';
import { Options } from '../block/options/options.ts';
import { setBackendPermissions } from '../block/graph/permissions.ts';
import { Errno } from '../util/errno.ts';
import { formatSize } from '../util/format.ts';
import { BufferPool } from './data/buffer-pool.ts';
import { type Command, CommandFailure, type CommandTable, type Report, usageLine } from './command.ts';
import { commandTable } from './commands/index.ts';
import type { Output } from './output/output.ts';
import { Progress } from './output/progress.ts';
import { stuckHint, stuckLines } from './output/stuck.ts';
import { tokenize } from './words/tokenizer.ts';
import type { SessionViews } from './views.ts';
import { DriverTable } from '../block/open/driver-table.ts';

/** How far `-m` puts data behind an aligned address. */
const MISALIGN_BYTES = 16;
/** Cancelled requests can run into further breakpoints, each of which stops one request once. */
const MAX_CANCELS = 100_000;

/** What the program around a session provides and chooses. */
export interface SessionOptions {
  readonly output: Output;
  readonly drivers: readonly KnownDriver[];
  /** Makes the overlay of snapshot mode; without it there is none. */
  readonly makeOverlay?: OverlayMaker;
  readonly clock?: Clock;
  /** The prefix of messages. */
  readonly programName?: string;
  /** Data of requests lies at odd addresses (`-m`). */
  readonly misalign?: boolean;
  /** `open` takes an option string in place of a file name (`--image-opts`). */
  readonly imageOptions?: boolean;
}

/** What `open` opens. `options` are used up. */
export interface OpenRequest {
  readonly filename: string | null;
  readonly options: Options | null;
  /** Bits of `Open`. */
  readonly flags: number;
  readonly writethrough: boolean;
  readonly forceShare: boolean;
}

/** A command whose coroutine has begun. */
interface RunningCommand {
  readonly command: Command;
  report: Report | null;
  coroutine: Coroutine | null;
  status: number;
  /** It is stuck, and nobody waits for its status any more. */
  isDetached: boolean;
}

/** The open image, if there is one, and the commands that are run on it. */
export class Session {
  readonly output: Output;
  readonly loop: EventLoop;
  readonly context: GraphContext;
  readonly commands: CommandTable = commandTable;
  readonly imageOptions: boolean;
  readonly readBuffers: BufferPool;
  readonly writeBuffers: BufferPool;
  /** `complain` as a function by itself. */
  readonly complain: (text: string) => void;
  readonly #programName: string;

  backend: BlockBackend | null = null;
  /** What shows this session; null if nothing does. */
  views: SessionViews | null = null;
  /** A script stops at its first error. */
  bail = false;
  quitRequested = false;
  /** What the last command that failed returned, a negative errno; 0 if none has. */
  lastError = 0;
  /** Tags that `break` was given, for completion; not all of them live any more. */
  readonly tags = new Set<string>();
  /** How many files `source` is in. */
  sourceDepth = 0;
  /** Suspended requests had to be cancelled when an image was closed. */
  hadStuckRequests = false;

  /** Requests in the background, and commands that are stuck: they report when they end. */
  #unfinished = 0;
  #interrupted = false;
  /** How far the request of the running command has come, if that is shown. */
  #transfer: Progress | null = null;

  constructor(options: SessionOptions) {
    const { output } = options;
    this.output = output;
    this.loop = new EventLoop(options.clock ?? systemClock);
    this.#programName = options.programName ?? 'qemu-io';
    this.context = new GraphContext({
      loop: this.loop,
      drivers: new DriverTable(options.drivers),
      makeOverlay: options.makeOverlay ?? null,
      programName: this.#programName,
      stdout: (line) => output.stdout(`${line}\n`),
      stderr: (line) => output.stderr(`${line}\n`),
    });
    this.imageOptions = options.imageOptions ?? false;
    const misalignBytes = options.misalign === true ? MISALIGN_BYTES : 0;
    this.readBuffers = new BufferPool(this.context, misalignBytes, false);
    this.writeBuffers = new BufferPool(this.context, misalignBytes, true);
    this.complain = (text) => output.stderr(text);
  }

  /** What the program exits with. */
  get exitStatus(): 0 | 1 {
    return this.lastError < 0 || this.hadStuckRequests ? 1 : 0;
  }

  /** The backend, for commands with `needsFile`. */
  get image(): BlockBackend {
    if (this.backend === null) throw new Error('no image is open');
    return this.backend;
  }

  /** The top node of the open image. */
  get top(): BlockNode {
    return this.image.top;
  }

  /** How many requests and commands have begun and not reported. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Says an error as "qemu-io: …" on standard error. */
  error(text: string): void {
    this.output.stderr(`${this.#programName}: ${text}\n`);
  }

  /** Says a warning as "qemu-io: warning: …" on standard error. */
  warn(text: string): void {
    this.error(`warning: ${text}`);
  }

  /**
   * Runs one command line. 0 or the negative errno of the failure, which counts for `exitStatus`, too; a promise only if
   * the command has to wait for something. A command that cannot end (its request is suspended) counts as 0 now; it
   * goes on when something wakes it, and reports then.
   */
  execute(line: string): number | Promise<number> {
    const argv = tokenize(line);
    const name = argv[0];
    if (name === undefined) return 0;
    this.#interrupted = false;
    this.loop.endHostIo();
    const command = this.commands.find(name);
    if (command === undefined) {
      this.output.stderr(`command "${name}" not found\n`);
      return this.#record(-Errno.EINVAL);
    }
    const status =
      this.#admit(command, argv) ??
      (command.polls === true ? this.#poll(command, argv) : this.#runCoroutine(command, argv));
    return typeof status === 'number' ? this.#done(command, status) : status.then((late) => this.#done(command, late));
  }

  #done(command: Command, status: number): number {
    if (command.changesPicture === true) this.views?.pictureChanged();
    return this.#record(status);
  }

  #record(status: number): number {
    if (status < 0) this.lastError = status;
    return status;
  }

  /** The checks before a command runs; a negative errno if it must not. */
  #admit(command: Command, argv: readonly string[]): number | undefined {
    const { backend } = this;
    if (command.needsFile && backend === null) {
      this.output.stderr("no file open, try 'help open'\n");
      return -Errno.EINVAL;
    }
    const count = argv.length - 1;
    if ((count < command.minArgs || count > command.maxArgs) && command.acceptsAlso?.(argv) !== true) {
      const expected = expectedCount(command);
      this.output.stderr(`bad argument count ${count} to ${argv[0] ?? ''}, expected ${expected} arguments\n`);
      return -Errno.EINVAL;
    }
    if (command.perm === undefined || backend === null || (command.perm & ~backend.root.perm) === 0) return undefined;
    // Without a disc the request itself fails, with the better reason.
    if (!backend.isAvailable) return undefined;
    try {
      setBackendPermissions(backend, backend.root.perm | command.perm, backend.root.shared);
      return undefined;
    } catch (error) {
      return this.#failure(command, error);
    }
  }

  async #poll(command: Command, argv: string[]): Promise<number> {
    try {
      await command.run(this, argv);
      return 0;
    } catch (error) {
      return this.#failure(command, error);
    }
  }

  /**
   * For commands with `polls`: does what must run as a coroutine. Fails as the body does; if the body is stuck, it goes
   * on when something wakes it, as other commands do.
   */
  async runRequest(command: Command, argv: string[], body: () => Promise<void>): Promise<void> {
    const status = await this.#runCoroutine(command, argv, body);
    if (status < 0) throw new CommandFailure(-status);
  }

  /** Runs `body`, or the command itself, as a coroutine. */
  #runCoroutine(command: Command, argv: string[], body?: () => Promise<void>): number | Promise<number> {
    const running: RunningCommand = { command, coroutine: null, report: null, status: 0, isDetached: false };
    const ended = this.loop.run(command.name, () => {
      running.coroutine = this.loop.current;
      try {
        const pending = body === undefined ? command.run(this, argv) : body();
        return typeof pending === 'object' ? this.#rest(running, pending) : undefined;
      } catch (error) {
        running.status = this.#failure(command, error);
        return undefined;
      }
    });
    return ended === true ? running.status : this.#ending(argv, running, ended);
  }

  /** The rest of a command that has to wait. */
  async #rest(running: RunningCommand, pending: Promise<void | Report>): Promise<void> {
    try {
      running.report = (await pending) ?? null;
    } catch (error) {
      running.status = this.#failure(running.command, error);
    }
    if (!running.isDetached) return;
    this.#unfinished -= 1;
    this.#record(this.#reported(running));
  }

  /** The status of a command that waits; 0 if it is stuck. */
  async #ending(argv: readonly string[], running: RunningCommand, ended: Promise<boolean>): Promise<number> {
    if (await ended) return this.#reported(running);
    this.hideTransfer();
    running.isDetached = true;
    this.#unfinished += 1;
    if (this.output.isTerminal) this.output.stderr(stuckHint(argv, running.coroutine, this.#interrupted));
    return 0;
  }

  /** The status of a command that has ended, after its report. */
  #reported(running: RunningCommand): number {
    try {
      running.report?.();
    } catch (error) {
      running.status = this.#failure(running.command, error);
    }
    return running.status;
  }

  /** The status for what a command threw, after everything about it has been said. */
  #failure(command: Command, error: unknown): number {
    if (error instanceof CommandFailure) {
      if (error.wantsUsage) this.output.stdout(usageLine(command));
      return -error.errno;
    }
    if (!(error instanceof BlockError)) throw error;
    this.error(error.message);
    return -error.errno;
  }

  /** Starts a request in the background. `report` is called when it ends, with what it threw or undefined. */
  async start(label: RequestLabel, body: () => Pending, report: (error: unknown) => void): Promise<void> {
    this.#unfinished += 1;
    await this.image.start(label, body, (error) => {
      this.#unfinished -= 1;
      report(error);
    });
  }

  /** Shows on a terminal how much of a request's bytes was moved, until `hideTransfer`. */
  showTransfer(what: string, bytes: number): void {
    const progress = Progress.of(this.output, what, bytes, formatSize);
    if (progress === null) return;
    this.#transfer = progress;
    this.context.onTransfer = (count) => progress.add(count);
  }

  /** Ends what `showTransfer` began. */
  hideTransfer(): void {
    this.#transfer?.end();
    this.#transfer = null;
    this.context.onTransfer = undefined;
  }

  /** Opens an image, or says why not. */
  async open(request: OpenRequest): Promise<boolean> {
    if (this.loop.current !== null) return this.#open(request);
    let isOpen = false;
    await this.loop.run('open', async () => {
      isOpen = await this.#open(request);
    });
    return isOpen;
  }

  async #open({ filename, options, flags, writethrough, forceShare }: OpenRequest): Promise<boolean> {
    if (this.backend !== null) {
      this.error("file open already, try 'help close'");
      return false;
    }
    let allOptions = options;
    if (forceShare) {
      allOptions ??= new Options();
      if (allOptions.has('force-share') && allOptions.get('force-share') !== 'on') {
        this.error('-U conflicts with image options');
        return false;
      }
      allOptions.set('force-share', 'on');
    }
    try {
      this.backend = await openBackend(this.context, { filename, options: allOptions, flags });
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      this.error(`can't open${filename === null ? '' : ` device ${filename}`}: ${error.message}`);
      return false;
    }
    this.backend.writeCacheEnabled = !writethrough;
    this.views?.pictureChanged();
    return true;
  }

  /**
   * Lets every request end that can. False if some cannot (a breakpoint holds them or what they wait for), or if
   * somebody interrupted.
   */
  async drain(): Promise<boolean> {
    while (this.#unfinished > 0 && !this.#interrupted) {
      if (!(await this.loop.poll())) break;
    }
    return this.#unfinished === 0;
  }

  /** Turns the loop until `condition` holds. False if nothing that goes on by itself can bring it about. */
  async pollUntil(condition: () => boolean): Promise<boolean> {
    while (!condition()) {
      if (this.#interrupted || !(await this.loop.poll())) return false;
    }
    return true;
  }

  /** The requests that are held, a line each, for messages. */
  stuckLines(): string[] {
    return this.backend === null ? [] : stuckLines(suspendedRequests(this.top), this.loop.clock.nowNs());
  }

  /**
   * Ends every request and closes the image. Requests that are suspended are listed on standard error and cancelled;
   * then `exitStatus` is 1.
   */
  async close(): Promise<void> {
    const { backend } = this;
    if (backend === null) return;
    this.#interrupted = false;
    if (!(await this.drain())) await this.#cancelStuck(backend);
    this.views?.imageCloses();
    for (const node of nodesWithRules(backend.top)) node.driver.debugRules?.(node).disableStaying();
    this.backend = null;
    this.views?.pictureChanged();
    // Something that cannot be cancelled still uses the image; the host will close it.
    if (backend.inFlight > 0) return;
    let isClosed = false;
    await this.loop.run('close', async () => {
      await closeBackend(backend);
      isClosed = true;
    });
    // The flush of a close can meet a breakpoint, too.
    if (!isClosed) await this.#cancelStuck(backend);
  }

  async #cancelStuck(backend: BlockBackend): Promise<void> {
    this.hadStuckRequests = true;
    const now = this.loop.clock.nowNs();
    for (const line of stuckLines(suspendedRequests(backend.top), now)) this.error(`cancelled: ${line}`);
    for (let attempt = 0; attempt < MAX_CANCELS; attempt += 1) {
      const oldest = suspendedRequests(backend.top).at(-1);
      if (oldest === undefined) break;
      await cancelSuspended(backend.top, oldest.tag);
      await this.pollUntil(() => false);
    }
    if (this.#unfinished > 0) this.error(`${this.#unfinished} requests never ended`);
  }

  /** Ends what the running command waits for (Ctrl-C). Requests in flight live on. */
  interrupt(): void {
    this.#interrupted = true;
    this.loop.interrupt();
  }

  /** Whether the command that ran last was interrupted. */
  get wasInterrupted(): boolean {
    return this.#interrupted;
  }
}

function expectedCount({ minArgs, maxArgs }: Command): string {
  if (maxArgs === Number.POSITIVE_INFINITY) return `at least ${minArgs}`;
  return minArgs === maxArgs ? `${minArgs}` : `between ${minArgs} and ${maxArgs}`;
}
