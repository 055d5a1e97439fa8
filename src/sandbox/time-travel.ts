/**
 * The time line of a sandbox: the commands of its session, and the way back to any moment between them.
 *
 * A session in a sandbox is deterministic: files are as they were, time passes only where a command waits for it, and
 * chance has seeds. So the way to a moment is the same commands once more, from the start, in silence; what requests,
 * locks and caches hold in memory comes back by itself, and what was written is in pages that are copied on write.
 */
import { BlockError } from '../block/error.ts';
import { looksOnly } from '../shell/command.ts';
import { settle } from '../shell/script.ts';
import type { Arrival, Checkpoint, Moment, Place, SessionTimeline, WrittenFile } from '../shell/session-timeline.ts';
import { Errno } from '../util/errno.ts';
import { type Answer, isPromise } from '../util/steps.ts';
import { stoppableEvents } from './event-stop.ts';
import { findBeforeFailure } from './failure-search.ts';
import { type FileState, fileState, History, type LineKind, type Step } from './moment-tree.ts';
import { SessionRunner, type TimelineOptions } from './session-runner.ts';
import { checkWritable, writeBack } from './write-back.ts';

const CHECKPOINTS_MAX = 10_000;
/** Names of moments that are there without a command. */
const START = 'start';
const END = 'end';
/** The end of the time line that was left last. */
const LAST = 'last';
const marking: ReadonlySet<string> = new Set(['checkpoint', 'goto', 'back', 'commit']);

/** The commands of a session so far, and its moments. */
export class Timeline implements SessionTimeline {
  settles = false;
  isReturning = false;
  readonly #options: TimelineOptions;
  readonly #history = new History();
  readonly #names = new Map<string, Step>();
  readonly #runner: SessionRunner;
  /** A line runs that is no part of another one, and its kind. */
  #running: LineKind | null = null;
  #isTravelling = false;
  #filesRead: FileState[] = [];

  constructor(options: TimelineOptions) {
    this.#options = options;
    this.#runner = new SessionRunner(options);
  }

  /** Opens the image. False if it cannot be opened. */
  async begin(): Promise<boolean> {
    const { session } = this.#options;
    session.timeline = this;
    const isOpen = await this.#runner.open();
    this.#history.begin(session.context.trace.history.total);
    return isOpen;
  }

  run(line: string, body: () => Answer<number>): Answer<number> {
    const kind = this.#running !== null || this.#isTravelling ? null : this.#kindOf(line);
    if (kind === null) return body();
    const { session, sandbox } = this.#options;
    const journeys = this.#runner.journeys;
    const { settles } = this;
    const { sourceDepth } = session;
    this.#running = kind;
    this.#filesRead = [];
    const ended = (): void => {
      this.#running = null;
      sandbox.clock.hold();
      if (journeys === this.#runner.journeys) this.#add(line, kind, settles, sourceDepth);
    };
    sandbox.clock.release();
    let status: Answer<number>;
    try {
      status = session.loop.isFrozen && kind === 'changes' ? this.#thawed(body) : body();
    } catch (error) {
      ended();
      throw error;
    }
    if (isPromise(status)) return status.finally(ended);
    ended();
    return status;
  }

  /** Before a command that changes anything, all goes on that stood still, as it does between two commands. */
  async #thawed(body: () => Answer<number>): Promise<number> {
    const { session } = this.#options;
    session.loop.isFrozen = false;
    this.#runner.stopped = null;
    if (this.settles) await settle(session);
    return body();
  }

  #add(line: string, kind: LineKind, settles: boolean, sourceDepth: number): void {
    const { session } = this.#options;
    const left = this.#history.add({
      line,
      kind,
      settles,
      sourceDepth,
      events: session.context.trace.history.total,
      obstacle: session.wasInterrupted ? `'${line}' was interrupted` : null,
      files: this.#filesRead,
    });
    if (left === null) return;
    this.#names.set(LAST, left);
    session.hint(`a new time line begins here; "goto ${LAST}" leads to the end of the one before`);
  }

  /** Null for a line without a command. */
  #kindOf(line: string): LineKind | null {
    const { shell } = this.#options.session;
    const argv = shell.wordsOf(line);
    const [word] = argv;
    if (word === undefined || word.startsWith('#')) return null;
    const command = shell.commands.find(word);
    if (command === undefined) return 'looks';
    if (marking.has(command.name)) return 'marks';
    return looksOnly(command, argv) && command.changesSession !== true ? 'looks' : 'changes';
  }

  readsFile(path: string): void {
    if (!this.#isTravelling) this.#filesRead.push(fileState(path));
  }

  async mark(name: string | null): Promise<Checkpoint> {
    this.#checkAlone();
    if (this.#names.size >= CHECKPOINTS_MAX) throw new BlockError(Errno.ENOSPC, 'there are too many checkpoints');
    const chosen = name ?? this.#freeName();
    if (!/^[^\s#\d-]\S*$/.test(chosen)) throw invalid(`'${chosen}' is no name: it begins with a letter`);
    if ([START, END, LAST].includes(chosen)) throw invalid(`'${chosen}' is a moment of its own`);
    this.#seal();
    this.#names.delete(chosen);
    this.#names.set(chosen, this.#history.current);
    return { name: chosen, ...momentOf(this.#history.current) };
  }

  #freeName(): string {
    for (let number = 1; ; number += 1) if (!this.#names.has(`c${number}`)) return `c${number}`;
  }

  get checkpoints(): readonly Checkpoint[] {
    const { root, tip } = this.#history;
    const all: [string, Step][] = [[START, root], ...this.#names, [END, tip]];
    return all.map(([name, step]) => ({ name, ...momentOf(step) }));
  }

  async goTo(place: Place): Promise<Arrival> {
    this.#checkAlone();
    this.#seal();
    if (place.kind === 'before failure') return this.#travel(async () => this.#beforeFailure(place.line));
    if (place.kind === 'events back') return this.#travel(async () => this.#eventsBack(place.count));
    const target = place.kind === 'checkpoint' ? this.#named(place.name) : this.#atEvent(place.number);
    return this.#travel(async () => ({ target, culprit: null }));
  }

  async goBack(commands: number): Promise<Arrival> {
    this.#checkAlone();
    this.#seal();
    const target = this.#history.before(commands);
    if (target === undefined)
      throw new BlockError(Errno.ENOENT, `there were only ${this.#history.current.commands} commands`);
    return this.#travel(async () => ({ target, culprit: null }));
  }

  #named(name: string): Step {
    const { root, tip } = this.#history;
    const target = name === START ? root : name === END ? tip : this.#names.get(name);
    if (target === undefined) {
      const reason = name === LAST ? 'there is no time line before this one' : `there is no checkpoint '${name}'`;
      throw new BlockError(Errno.ENOENT, reason);
    }
    return target;
  }

  #atEvent(number: number): Step {
    const { tip } = this.#history;
    const step = this.#history.stepOf(number);
    if (step === undefined || number < 1) {
      throw new BlockError(Errno.ENOENT, `no event #${number} has fired; the latest is #${tip.events}`);
    }
    if (step.before === null) throw invalid(`nothing can be stopped at #${number}: the image was being opened`);
    return step.stop === number ? step : { ...step, stop: number, events: number };
  }

  /** So many events back, of those that "events" lists: of nodes with breakpoints. */
  async #eventsBack(count: number): Promise<{ readonly target: Step; readonly culprit: null }> {
    const { current, root } = this.#history;
    const all = await stoppableEvents(this.#options.session, () => this.#runner.runTo(current, root));
    const before = all.filter((number) => number <= current.events && number !== current.stop);
    const number = before.at(-count);
    if (number === undefined || count < 1) {
      throw new BlockError(Errno.ENOENT, `there are only ${before.length} events to go back to`);
    }
    return { target: this.#atEvent(number), culprit: null };
  }

  #checkAlone(): void {
    if (this.#running === 'marks' && !this.#isTravelling) return;
    throw new BlockError(Errno.EBUSY, 'this stands alone, and not within source, repeat, on or display');
  }

  /** Gives the work of the loop since the last command a moment of its own, if events tell of it. */
  #seal(): void {
    const { session } = this.#options;
    const { total } = session.context.trace.history;
    if (total === this.#history.current.events || session.loop.isFrozen) return;
    const turn = { line: '', kind: 'marks', settles: true, sourceDepth: 0, obstacle: null, files: [] } as const;
    this.#history.add({ ...turn, events: total });
  }

  /** Goes to where `find` says, which may run the session itself. After a failure the session is where it was. */
  async #travel(find: () => Promise<{ readonly target: Step; readonly culprit: string | null }>): Promise<Arrival> {
    const { session, output } = this.#options;
    const from = this.#history.current;
    const journeys = this.#runner.journeys;
    const { sourceDepth } = session;
    this.#isTravelling = true;
    output.isSilent = true;
    try {
      try {
        const { target, culprit } = await find();
        await this.#runner.runTo(target, this.#history.root);
        this.#history.current = target;
        return { ...momentOf(target), stopped: this.#runner.stopped, culprit };
      } catch (error) {
        if (journeys !== this.#runner.journeys && !session.quitRequested) await this.#return(from);
        throw error;
      }
    } finally {
      output.isSilent = false;
      this.#isTravelling = false;
      // The file that led here goes on.
      session.sourceDepth = sourceDepth;
    }
  }

  /** Leads back to a moment; a Ctrl-C on the way would leave the session halfway there. */
  async #return(to: Step): Promise<void> {
    this.isReturning = true;
    try {
      await this.#runner.runTo(to, this.#history.root, { isInterruptible: false });
    } finally {
      this.isReturning = false;
    }
  }

  async #beforeFailure(line: string): Promise<{ readonly target: Step; readonly culprit: string }> {
    const { root, current } = this.#history;
    const { session } = this.#options;
    return findBeforeFailure([root, ...History.path(current)], {
      session,
      runTo: (target, watch) => this.#runner.runTo(target, root, { watch }),
      fails: () => this.#runner.fails(line),
    });
  }

  async commit(): Promise<readonly WrittenFile[]> {
    this.#checkAlone();
    const { session, sandbox, hostDrivers } = this.#options;
    if (session.loop.isFrozen || session.background.unfinished > 0 || (session.backend?.inFlight ?? 0) > 0) {
      throw new BlockError(Errno.EBUSY, 'requests are in flight, and would be lost; "requests" lists them');
    }
    const lines = History.path(this.#history.current).map(({ line }) => /^\s*(\S+)/.exec(line)?.[1] ?? '');
    const names = lines.map((word) => session.shell.commands.find(word)?.name);
    const isOpenedByLine = names.includes('open') || names.includes('close');
    const wasOpen = session.backend !== null;
    const { sourceDepth } = session;
    await checkWritable(sandbox.disks, hostDrivers);
    await session.close();
    const written = await this.#written();
    sandbox.forgetFiles();
    this.#runner.beginAnew();
    this.#runner.obstacle = null;
    session.sourceDepth = sourceDepth;
    this.#runner.opensImage = wasOpen && !isOpenedByLine;
    this.#names.clear();
    await this.#runner.open();
    if (wasOpen && !this.#runner.opensImage) session.hint('the image is closed now; "open" opens it again');
    this.#history.begin(session.context.trace.history.total);
    return written;
  }

  /** Writes the files. After an error the image stays closed, and what it was copied from is there no more. */
  async #written(): Promise<readonly WrittenFile[]> {
    const { sandbox, hostDrivers } = this.#options;
    try {
      return await writeBack(sandbox.disks, hostDrivers);
    } catch (error) {
      this.#runner.obstacle = 'a commit that failed has written a part of the files; there is no way back before it';
      throw error;
    }
  }

  end(): void {
    const { session, sandbox } = this.#options;
    session.loop.isFrozen = false;
    sandbox.clock.release();
    session.timeline = null;
    const changed = sandbox.disks.all.filter(({ number }) => sandbox.disks.changed.has(number));
    if (changed.length === 0) return;
    session.hint(`the changes of ${changed.map(({ path }) => path).join(', ')} were in the sandbox alone`);
  }
}

function momentOf(step: Step): Moment {
  let last = step;
  let isWithin = step.stop !== null;
  while (last.kind !== 'changes' && last.before !== null) {
    last = last.before;
    isWithin ||= last.stop !== null;
  }
  return { commands: step.commands, line: last.line, events: step.events, isWithin };
}

function invalid(text: string): BlockError {
  return new BlockError(Errno.EINVAL, text);
}
