/**
 * One case: the scenario, run once in its world from open to close, and what came of it.
 *
 * A strategy takes part through the hooks. What it makes of the case it learns from the finished case; verdicts do,
 * too.
 */
import type { BlockBackend } from '../block/backend.ts';
import { BlockError } from '../block/error.ts';
import type { DebugEvent } from '../block/events/events.ts';
import { eventName } from '../block/events/events.ts';
import type { BlockNode } from '../block/graph/node.ts';
import type { EventLoop } from '../block/loop/loop.ts';
import { runLines } from '../shell/script.ts';
import type { Output } from '../shell/output/output.ts';
import type { Session } from '../shell/session.ts';
import type { Pending } from '../util/steps.ts';
import { type Scheduler, Stops } from './scheduler.ts';
import type { NodeHooks } from '../sandbox/sandbox-drivers.ts';
import { removeRules, type World, type WorldSession } from './world.ts';
import type { DiskHost, RequestHook } from '../sandbox/disks/disk-driver.ts';
import type { Disks } from '../sandbox/disks/disks.ts';
import type { Transcript } from './world/session-output.ts';
import type { UserRequest, UserWatcher } from './world/watched-backend.ts';

/** Requests to files in one case, unless it is given another bound: one that makes more does not end. */
const REQUESTS_MAX = 1_000_000;

/** A look at a case while it runs. */
export interface CaseViewer {
  /** Where the output of the session is shown as well. */
  readonly echo?: Output;
  /** The session is there, and nothing is in it yet. */
  readonly started?: (session: Session) => void | Promise<void>;
  /** A line is about to run. */
  readonly line?: (text: string) => void;
  /** The script has ended, and the image has not been closed. */
  readonly ending?: (session: Session) => Promise<void>;
}

/** A strategy's part in a case. */
export interface CaseHooks extends NodeHooks {
  readonly viewer?: CaseViewer | undefined;
  /** Asked before each request to a file. */
  readonly request?: RequestHook;
  /** Chooses which request goes on wherever one stops; left out: requests do not stop. */
  readonly scheduler?: Scheduler;
  /** The loop of the case is there, and nothing has run in it. */
  readonly madeLoop?: (loop: EventLoop) => void;
  /** Is told of each request of the user. */
  readonly watcher?: UserWatcher;
  /** Changes and flushes of files are kept in the log of the disks. */
  readonly keepsLog?: boolean;
  readonly requestsMax?: number;
}

/** A step of a case as its journal has it, for verdicts and for readers. */
export type JournalEntry =
  /** A line of the script begins; its number counts from 1. */
  | { readonly kind: 'line'; readonly number: number; readonly text: string }
  /** The script has ended, and the image is being closed. */
  | { readonly kind: 'closing' }
  /** A request of the user has failed. */
  | { readonly kind: 'failed'; readonly request: UserRequest; readonly errno: number }
  /** Something was written to standard error. */
  | { readonly kind: 'said'; readonly text: string }
  /** The strategy has failed a request; `isHint` if that loses nothing (a discard, a look at a status). */
  | { readonly kind: 'injected'; readonly text: string; readonly isHint: boolean };

/** A case that has ended. Its disks are as the scenario left them; they are released by `release`. */
export interface FinishedCase {
  readonly world: World;
  readonly disks: Disks;
  readonly transcript: Transcript;
  readonly journal: readonly JournalEntry[];
  /** The image was opened. */
  readonly wasOpened: boolean;
  /** The status that the program would exit with. */
  readonly exitStatus: 0 | 1;
  /** The first error that is no error of a disk or a user: a broken invariant. Null if there was none. */
  readonly crash: Error | null;
  /** The first hazards that the detector told of. */
  readonly hazards: readonly string[];
  /** Requests that never ended, though nothing held them: their operations. */
  readonly hung: readonly string[];
}

/** A case under way. */
export class Case {
  readonly #world: World;
  readonly #hooks: CaseHooks;
  readonly #host: CaseHost;
  readonly #journal: JournalEntry[] = [];

  constructor(world: World, hooks: CaseHooks = {}) {
    this.#world = world;
    this.#hooks = hooks;
    this.#host = new CaseHost(world.disks(hooks.keepsLog === true), hooks.requestsMax ?? REQUESTS_MAX);
  }

  /** For strategies: notes what they have done. */
  note(entry: JournalEntry): void {
    this.#journal.push(entry);
  }

  /** The line of the script that runs, from 1; 0 before the first, and behind the last. */
  get command(): number {
    return this.#host.command;
  }

  /** Gives the case up, which a scheduler has left as it is: `run` never ends then. */
  giveUp(): void {
    this.#host.disks.abandon();
    this.#host.disks.release();
  }

  /** Entries of the log so far. */
  get logLength(): number {
    return this.#host.disks.log.length;
  }

  /** Runs the scenario. Throws only what is a fault of the search itself. */
  async run(): Promise<FinishedCase> {
    const { session, transcript, stops } = this.#makeSession();
    let crash: Error | null = null;
    let wasOpened = false;
    const { viewer } = this.#hooks;
    await viewer?.started?.(session);
    try {
      const request = this.#world.scenario.image();
      wasOpened = request === null || (await session.open(request));
      if (wasOpened) await runLines(session.shell, this.#lines(), null);
      if (wasOpened) await viewer?.ending?.(session);
      this.#host.command = 0;
      this.note({ kind: 'closing' });
      await session.close();
    } catch (error) {
      crash = error instanceof Error ? error : new Error(String(error));
    }
    stops?.end();
    const { loop, background } = session;
    const hung = [...loop.alive].map(({ operation }) => operation);
    if (hung.length === 0 && background.unfinished > 0) hung.push('a request');
    return {
      world: this.#world,
      disks: this.#host.disks,
      transcript,
      journal: this.#journal,
      wasOpened,
      exitStatus: wasOpened ? session.exitStatus : 1,
      crash,
      hazards: session.context.trace.history.firstHazards,
      hung: crash === null || this.#host.isTooLong ? hung : [],
    };
  }

  #makeSession(): WorldSession & { readonly stops: Stops | null } {
    const { scheduler, event, opened, asked, status, request, viewer } = this.#hooks;
    let stops: Stops | null = null;
    const hooks: NodeHooks = {
      ...(opened === undefined ? {} : { opened }),
      ...(asked === undefined ? {} : { asked }),
      ...(status === undefined ? {} : { status }),
      event: (node, fired) => atEvent(stops, event, node, fired),
    };
    this.#host.onRequest =
      scheduler === undefined
        ? (request ?? null)
        : async (file) => {
            await stops?.stop({ kind: 'file', file });
            await request?.(file);
          };
    const said = (text: string): void => this.note({ kind: 'said', text });
    const beginning = (): Pending => stops?.stop({ kind: 'begin' });
    const echo = viewer?.echo;
    const made = this.#world.session({ host: this.#host, hooks, watcher: this.#watcher, beginning, said, echo });
    this.#hooks.madeLoop?.(made.session.loop);
    if (scheduler !== undefined) stops = new Stops(made.session.loop, scheduler);
    return { ...made, stops };
  }

  readonly #watcher: UserWatcher = (request, backend: BlockBackend) => {
    const end = this.#hooks.watcher?.(request, backend);
    return (error) => {
      end?.(error);
      if (error instanceof BlockError) this.note({ kind: 'failed', request, errno: error.errno });
    };
  };

  #lines() {
    const { lines } = this.#world.scenario;
    let next = 0;
    return {
      next: (): string | null => {
        const text = lines[next];
        if (text === undefined) return null;
        next += 1;
        this.#host.command = next;
        this.note({ kind: 'line', number: next, text });
        this.#hooks.viewer?.line?.(text);
        return text;
      },
    };
  }
}

/** The scheduler's stop comes first, so that rules are evaluated when the request goes on. */
function atEvent(stops: Stops | null, event: NodeHooks['event'], node: BlockNode, fired: DebugEvent): Pending {
  const stopped = stops?.stop({ kind: 'event', event: eventName(fired), node: node.nodeName });
  if (stopped === undefined) return event?.(node, fired);
  return stopped.then(() => event?.(node, fired));
}

/** The disks of a case, as its drivers know them. */
class CaseHost implements DiskHost {
  readonly disks: Disks;
  command = 0;
  onRequest: RequestHook | null = null;
  isTooLong = false;
  readonly #requestsMax: number;

  constructor(disks: Disks, requestsMax: number) {
    this.disks = disks;
    this.#requestsMax = requestsMax;
  }

  countRequest(): void {
    this.disks.requestCount += 1;
    if (this.disks.requestCount <= this.#requestsMax) return;
    this.isTooLong = true;
    throw new Error(`a case makes more than ${this.#requestsMax} requests to files`);
  }
}

/** The image of the scenario over disks as they are now, without rules and hooks. The caller closes the session. */
export async function openAsIs(world: World, disks: Disks): Promise<WorldSession & { readonly isOpen: boolean }> {
  const host = new CaseHost(disks, REQUESTS_MAX);
  const made = world.session({ host, hooks: { opened: removeRules }, watcher: null });
  const request = world.scenario.image();
  const isOpen = request !== null && (await made.session.open(request));
  return { ...made, isOpen };
}
