/** Runs the session of a sandbox again, from its start up to a moment, in silence. */
import type { RegisteredDriver } from '../block/driver.ts';
import { BlockError } from '../block/error.ts';
import { Breather } from '../shell/breather.ts';
import { CommandFailure } from '../shell/failure.ts';
import { settle } from '../shell/script.ts';
import type { Session } from '../shell/session.ts';
import type { Arrival } from '../shell/session-timeline.ts';
import { tokenize } from '../shell/words/tokenizer.ts';
import { Errno } from '../util/errno.ts';
import { EventStop, ranOtherwise } from './event-stop.ts';
import { checkRepeatable, History, type Step } from './moment-tree.ts';
import type { Sandbox } from './sandbox.ts';
import type { SandboxOutput } from './sandbox-output.ts';

/** The session of a sandbox, and how it begins. */
export interface TimelineOptions {
  readonly session: Session;
  readonly sandbox: Sandbox;
  readonly output: SandboxOutput;
  /** The drivers that write to the host. */
  readonly hostDrivers: readonly RegisteredDriver[];
  /** Opens the image of the command line, if there is one; false if it cannot be opened, which has been said then. */
  readonly openImage: () => Promise<boolean>;
}

/** Is told of each moment on the way, the start first; true ends the way there. */
export type Watch = (moment: Step) => Promise<boolean>;

/** How far a run goes, and what ends it. */
export interface RunOptions {
  readonly isInterruptible?: boolean;
  readonly watch?: Watch | undefined;
}

/** One session, which begins anew as often as it is asked to. */
export class SessionRunner {
  /** How often it has begun anew. */
  journeys = 0;
  /** The image of the command line is opened at the start. */
  opensImage = true;
  /** Why nothing can be run again; null if it can. */
  obstacle: string | null = null;
  /** The request that is suspended since the session was stopped at an event. */
  stopped: Arrival['stopped'] = null;
  readonly #options: TimelineOptions;
  readonly #bail: boolean;

  constructor(options: TimelineOptions) {
    this.#options = options;
    this.#bail = options.session.bail;
  }

  /** The session as it was before its image was opened. */
  beginAnew(): void {
    const { session, sandbox } = this.#options;
    this.journeys += 1;
    this.stopped = null;
    sandbox.restart(session);
    session.bail = this.#bail;
  }

  /** Opens the image of the command line. False if it cannot be opened. */
  async open(): Promise<boolean> {
    const { sandbox, openImage } = this.#options;
    sandbox.clock.release();
    try {
      return !this.opensImage || (await openImage());
    } finally {
      sandbox.clock.hold();
    }
  }

  /** Begins anew, and runs up to a moment; `root` is the start. EINTR if the user ends it, unless that is ignored. */
  async runTo(target: Step, root: Step, { isInterruptible = true, watch }: RunOptions = {}): Promise<void> {
    const { session } = this.#options;
    const path = History.path(target);
    if (this.obstacle !== null) throw new BlockError(Errno.ENOTSUP, this.obstacle);
    checkRepeatable(path);
    this.beginAnew();
    if (!(await this.open())) throw ranOtherwise();
    if (watch !== undefined && (await watch(root))) return;
    const breather = new Breather(session.loop.clock);
    for (const step of path) {
      await this.#runAgain(step, isInterruptible);
      await breather.breathe();
      if (isInterruptible && (session.wasInterrupted || session.quitRequested)) throw interrupted();
      if (watch !== undefined && (await watch(step))) return;
    }
  }

  async #runAgain(step: Step, isInterruptible: boolean): Promise<void> {
    const { session, sandbox } = this.#options;
    const { loop, background, shell } = session;
    if (step.kind === 'changes') {
      loop.isFrozen = false;
      this.stopped = null;
    }
    const stop = step.stop === null ? null : new EventStop(session, step.stop);
    const { lastError } = session;
    try {
      if (step.settles) await settle(session);
      session.sourceDepth = step.sourceDepth;
      sandbox.clock.release();
      if (stop?.isMet === true) {
        // It has come before the line.
      } else if (step.kind !== 'marks') {
        await shell.execute(step.line);
      } else if (step.line !== '') {
        background.begin();
        loop.endHostIo();
      }
    } finally {
      stop?.end();
      session.sourceDepth = 0;
      sandbox.clock.hold();
    }
    // A file of commands that was interrupted is not at its end. A stop interrupts, too.
    if (isInterruptible && stop?.isMet !== true && session.wasInterrupted) throw interrupted();
    if (stop === null) {
      if (session.context.trace.history.total !== step.events) throw ranOtherwise();
      return;
    }
    this.stopped = stop.stopped();
    background.begin();
    // The command has not failed: it was only left where it is.
    session.lastError = lastError;
    await session.stops?.run(shell);
  }

  /** Whether a check fails at the present moment. It leaves its number behind: the session has to be run again. */
  async fails(line: string): Promise<boolean> {
    const { session } = this.#options;
    const argv = tokenize(line);
    const command = session.shell.commands.find(argv[0] ?? '');
    if (command === undefined || session.backend === null) return false;
    let hasFailed = false;
    let failure: unknown;
    const ended = await session.loop.run(command.name, async () => {
      try {
        await command.run(session, argv, session.shell);
      } catch (error) {
        hasFailed = error instanceof CommandFailure;
        if (!hasFailed) failure = error;
      }
    });
    if (failure !== undefined) throw failure;
    if (session.wasInterrupted) throw interrupted();
    if (!ended) throw new BlockError(Errno.EDEADLK, 'the check waits for a request that stands still');
    return hasFailed;
  }
}

function interrupted(): BlockError {
  return new BlockError(Errno.EINTR, 'interrupted');
}
