/** The commands of a session in a sandbox, as a tree of moments: a session that went back may go on in another way. */
import { statSync } from 'node:fs';
import { BlockError } from '../block/error.ts';
import { Errno } from '../util/errno.ts';

/** The effect of a line on what comes after it. */
export type LineKind =
  /** It may change anything: what was there behind it is another time line then. */
  | 'changes'
  /** It changes nothing but the numbers of requests. */
  | 'looks'
  /** It is about moments; an empty one lets the loop turn alone. */
  | 'marks';

/** A line that has run, and the moment behind it. */
export interface Step {
  /** Null for the root: the image has been opened. */
  readonly before: Step | null;
  readonly line: string;
  readonly kind: LineKind;
  /** The loop turned before it. */
  readonly settles: boolean;
  /** It came from a file: how many files it was in. */
  readonly sourceDepth: number;
  /** Commands of the kind 'changes' up to here. */
  readonly commands: number;
  /** The number of the event at which it is stopped; null: it has run to its end. */
  readonly stop: number | null;
  /** Events fired up to here. */
  readonly events: number;
  /** Why it cannot be run again; null if it can. */
  readonly obstacle: string | null;
  /** Files of the host that it has read. */
  readonly files: readonly FileState[];
}

/** A file of the host as it was. */
export interface FileState {
  readonly path: string;
  readonly state: string;
}

/** More characters of lines are not remembered. */
const CHARS_MAX = 64 << 20;
/** Nor are more lines. */
const STEPS_MAX = 2_000_000;

/** The moments of a session. */
export class History {
  root: Step = rootStep(0);
  /** Where the session is. */
  current: Step = this.root;
  /** The last moment of the time line that it is on. */
  tip: Step = this.root;
  #steps = 0;
  #chars = 0;

  /** The session begins anew: `events` have fired while its image was opened. */
  begin(events: number): void {
    this.root = rootStep(events);
    this.current = this.root;
    this.tip = this.root;
    this.#steps = 0;
    this.#chars = 0;
  }

  /**
   * Adds what has run at the present moment. The end of the time line that this leaves, or null if it is the same one.
   */
  add(step: Omit<Step, 'before' | 'commands' | 'stop'>): Step | null {
    const before = this.current;
    const commands = before.commands + (step.kind === 'changes' ? 1 : 0);
    this.#steps += 1;
    this.#chars += step.line.length;
    const isFull = this.#steps > STEPS_MAX || this.#chars > CHARS_MAX;
    const obstacle = isFull ? 'the session has become longer than a sandbox remembers' : step.obstacle;
    const line = isFull ? '' : step.line;
    this.current = { ...step, line, obstacle, before, commands, stop: null };
    const left = this.tip;
    const isAtTip = left === before;
    if (isAtTip || step.kind === 'changes') this.tip = this.current;
    return isAtTip || step.kind !== 'changes' ? null : left;
  }

  /** The steps from the root, left out, to a moment. */
  static path(to: Step): Step[] {
    const steps: Step[] = [];
    for (let step = to; step.before !== null; step = step.before) steps.push(step);
    return steps.reverse();
  }

  /** The step of this time line in which an event fired; undefined if none did. Numbers count from 1. */
  stepOf(event: number): Step | undefined {
    let found: Step | undefined;
    for (let step: Step | null = this.tip; step !== null && step.events >= event; step = step.before) found = step;
    return found;
  }

  /** The moment before so many commands; undefined if there were not so many. */
  before(commands: number): Step | undefined {
    let left = commands;
    for (let step = this.current; step.before !== null; step = step.before) {
      if (step.kind === 'changes') left -= 1;
      if (left === 0) return step.before;
    }
    return undefined;
  }
}

function rootStep(events: number): Step {
  const line = '';
  return {
    before: null,
    line,
    kind: 'marks',
    settles: false,
    sourceDepth: 0,
    commands: 0,
    stop: null,
    events,
    obstacle: null,
    files: [],
  };
}

/** A file as it is now. */
export function fileState(path: string): FileState {
  return { path, state: stateOf(path) };
}

function stateOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, mode } = statSync(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs} ${mode}`;
  } catch {
    return 'none';
  }
}

/** Throws ENOTSUP with the reason why these steps cannot be run again, if there is one. */
export function checkRepeatable(steps: readonly Step[]): void {
  for (const { obstacle, files } of steps) {
    if (obstacle !== null) throw new BlockError(Errno.ENOTSUP, `${obstacle}: it cannot be run again`);
    const changed = files.find(({ path, state }) => stateOf(path) !== state);
    if (changed !== undefined) {
      throw new BlockError(
        Errno.ENOTSUP,
        `'${changed.path}' has changed since: what was read of it cannot be run again`,
      );
    }
  }
}
