/** The state of a session that commands work on: the open image, its buffers, its requests, and its messages. */
import type { BlockBackend } from '../block/backend.ts';
import type { Compat } from '../block/compat.ts';
import { suspendedRequests } from '../block/debug/port.ts';
import type { RegisteredDriver } from '../block/driver.ts';
import type { UserObject } from '../block/user-object.ts';
import { type BackendMaker, GraphContext } from '../block/graph/context.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { DriverTable } from '../block/open/driver-table.ts';
import type { TraceBus } from '../block/events/trace.ts';
import type { OverlayMaker } from '../block/open/overlay.ts';
import { type Clock, systemClock } from '../block/loop/clock.ts';
import { EventLoop } from '../block/loop/loop.ts';
import { assert } from '../util/assert.ts';
import { parseExactSize } from '../util/exact-size.ts';
import { type ParsedSize, parseSize, type Warnings } from '../util/size.ts';
import type { Pending } from '../util/steps.ts';
import { BufferPool } from './data/buffer-pool.ts';
import type { Output } from './output/output.ts';
import { ReportedSize } from './output/request-report.ts';
import { suspendedLines } from './output/suspended-text.ts';
import { Background } from './requests/background.ts';
import type { StopCommands } from './stop-commands.ts';
import { Transfer } from './requests/transfer.ts';
import type { SessionExports } from './session-exports.ts';
import type { SessionTimeline } from './session-timeline.ts';
import type { SessionConsoles, SessionViews } from './session-views.ts';

/** How far `-m` puts data behind an aligned address. */
const MISALIGN_BYTES = 16;

/** The parts and choices that the program gives a session. */
export interface SessionOptions {
  readonly output: Output;
  readonly drivers: readonly RegisteredDriver[];
  /** Makes the overlay of snapshot mode; without it there is none. */
  readonly makeOverlay?: OverlayMaker;
  /** Makes the backends of images; left out: plain ones. */
  readonly makeBackend?: BackendMaker;
  /** Objects that nodes may use, by id. */
  readonly objects?: ReadonlyMap<string, UserObject>;
  readonly clock?: Clock;
  /** The version of QEMU whose behaviour this is: 7.2 by default. */
  readonly compat?: Compat;
  /** Ends the program at once. Left out where the session is only a part of it. */
  readonly exit?: ((status: number) => never) | undefined;
  /** The prefix of messages. */
  readonly programName?: string;
  /** Data of requests lies at odd addresses (`-m`). */
  readonly misalign?: boolean;
  /** `open` takes an option string in place of a file name (`--image-opts`). */
  readonly imageOptions?: boolean;
}

/** A session without its commands. */
export class SessionState {
  readonly output: Output;
  /** Of the request that was reported last. */
  reportedSize = new ReportedSize(0);
  readonly imageOptions: boolean;
  /** Writes to standard error as it is, as a function by itself. */
  readonly complain: (text: string) => void;
  /** Reads a size as the version of QEMU does. */
  readonly parseSize: (text: string, warnings: Warnings) => ParsedSize;
  readonly #options: SessionOptions;
  readonly #programName: string;

  // A sandbox begins its session anew: then these are other ones.
  loop!: EventLoop;
  context!: GraphContext;
  readBuffers!: BufferPool;
  writeBuffers!: BufferPool;
  background!: Background;
  transfer!: Transfer;

  backend: BlockBackend | null = null;
  /** The recording and the panel; null if there is neither. */
  views: SessionViews | null = null;
  /** The commands of other consoles; null where there can be none. */
  consoles: SessionConsoles | null = null;
  /** The exports to NBD clients; null where there can be none. */
  exports: SessionExports | null = null;
  /** The commands so far, in a sandbox that can go back to any moment between them; null outside of one. */
  timeline: SessionTimeline | null = null;
  /** A script stops at its first error. */
  bail = false;
  quitRequested = false;
  /** The status of the last command that failed, a negative errno; 0 if none has. */
  lastError = 0;
  /** Tags that `break` was given, for completion; not all of them live any more. */
  readonly tags = new Set<string>();
  /** How many files `source` is in. */
  sourceDepth = 0;
  /** How many failures of lines of files were said with their place: an outer file need not say them again. */
  failuresPlaced = 0;
  /** Commands that are run at stops; null until there are some. */
  stops: StopCommands | null = null;
  /** Set by `diff`: called before each command that may change the image. */
  beforeCommand: (() => Pending) | null = null;
  /** Suspended requests had to be cancelled when an image was closed. */
  hadCancelledRequests = false;

  constructor(options: SessionOptions) {
    const { output } = options;
    this.output = output;
    this.#options = options;
    this.#programName = options.programName ?? 'qemu-io';
    this.imageOptions = options.imageOptions ?? false;
    this.complain = (text) => output.stderr(text);
    this.#begin(options, null);
    this.parseSize = this.context.compat.has('exactSizes') ? parseExactSize : parseSize;
  }

  /**
   * Forgets everything that commands have done, the open image and its requests as well: they are left as they are, and
   * never go on. Subscribers of the bus stay.
   */
  restart(changed: Pick<SessionOptions, 'drivers' | 'clock'>): void {
    this.#begin({ ...this.#options, ...changed }, this.context.trace);
    this.backend = null;
    this.bail = false;
    this.lastError = 0;
    this.tags.clear();
    this.sourceDepth = 0;
    this.failuresPlaced = 0;
    this.stops = null;
    this.beforeCommand = null;
    this.hadCancelledRequests = false;
  }

  #begin(options: SessionOptions, trace: TraceBus | null): void {
    const { output } = options;
    const clock = options.clock ?? systemClock;
    this.loop = new EventLoop(clock);
    trace?.restart(clock);
    this.context = new GraphContext({
      loop: this.loop,
      drivers: new DriverTable(options.drivers),
      makeOverlay: options.makeOverlay ?? null,
      makeBackend: options.makeBackend,
      ...(options.objects === undefined ? {} : { objects: options.objects }),
      compat: options.compat,
      ...(trace === null ? {} : { trace }),
      programName: this.#programName,
      stdout: (line) => output.stdout(`${line}\n`),
      stderr: (line) => output.stderr(`${line}\n`),
      exit: options.exit,
    });
    const misalignBytes = options.misalign === true ? MISALIGN_BYTES : 0;
    this.readBuffers = new BufferPool(this.context, misalignBytes, false);
    this.writeBuffers = new BufferPool(this.context, misalignBytes, true);
    this.background = new Background(this.loop);
    this.transfer = new Transfer(output, this.context);
  }

  /** The exit status of the program. */
  get exitStatus(): 0 | 1 {
    return this.lastError < 0 || this.hadCancelledRequests ? 1 : 0;
  }

  /** The backend, for commands with `needsFile`. */
  get image(): BlockBackend {
    assert(this.backend !== null, 'an image is open');
    return this.backend;
  }

  /** The top node of the open image. */
  get top(): BlockNode {
    return this.image.top;
  }

  /** Says an error as "qemu-io: …" on standard error. */
  error(text: string): void {
    this.output.stderr(`${this.#programName}: ${text}\n`);
  }

  /** Says a warning as "qemu-io: warning: …" on standard error. */
  warn(text: string): void {
    this.error(`warning: ${text}`);
  }

  /** Says something on a terminal that a pipe must not see, in parentheses on standard error. */
  hint(text: string): void {
    if (this.output.isTerminal) this.output.stderr(`(${text})\n`);
  }

  /**
   * Whether lines may hold what qemu-io does not know: quoted words, comments, sums. Where the output goes to a
   * terminal, and in files of `source`; elsewhere every line keeps qemu-io's meaning.
   */
  get acceptsExtensions(): boolean {
    return this.output.isTerminal || this.sourceDepth > 0;
  }

  /** A line for each suspended request, for messages. */
  suspendedLines(): string[] {
    return this.backend === null ? [] : suspendedLines(suspendedRequests(this.top), this.loop.clock.nowNs());
  }

  /** Ends what the running command waits for (Ctrl-C). Requests in flight live on. */
  interrupt(): void {
    if (this.timeline?.isReturning !== true) this.background.interrupt();
  }

  /** Whether the command that ran last was interrupted. */
  get wasInterrupted(): boolean {
    return this.background.wasInterrupted;
  }
}
