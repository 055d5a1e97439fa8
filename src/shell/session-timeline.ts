/** The time line of a session in a sandbox: the commands so far, and the way back to any moment between them. */
import type { Answer } from '../util/steps.ts';

/** A moment of the session, as commands show it. */
export interface Moment {
  /** How many commands have run, and the last of them; an empty line before the first. */
  readonly commands: number;
  readonly line: string;
  /** How many events have fired. */
  readonly events: number;
  /** The last command has not ended: its request is suspended at the latest event. */
  readonly isWithin: boolean;
}

/** A moment with a name. */
export interface Checkpoint extends Moment {
  readonly name: string;
}

/** Where `goto` leads. */
export type Place =
  | { readonly kind: 'event'; readonly number: number }
  /** So many events before the present one. */
  | { readonly kind: 'events back'; readonly count: number }
  | { readonly kind: 'checkpoint'; readonly name: string }
  /** The latest event after which this command, a check, fails. */
  | { readonly kind: 'before failure'; readonly line: string };

/** Where a journey has ended. */
export interface Arrival extends Moment {
  /** The request that is suspended there, "w17", with its event and tag; null between two commands. */
  readonly stopped: { readonly request: string; readonly event: string; readonly tag: string } | null;
  /** The command that leads on from there to the failure that was looked for; null if none was. */
  readonly culprit: string | null;
}

/** A file that was written back. Lengths in bytes. */
export interface WrittenFile {
  readonly path: string;
  readonly changedBytes: number;
}

/**
 * The session of a sandbox as it can be run again. Journeys fail with BlockError: ENOENT for a place that is not there,
 * EINVAL for one where nothing can be stopped, EBUSY inside of another command, ENOTSUP if the way there cannot be run
 * again. The session is where it was then.
 */
export interface SessionTimeline {
  /** The loop turns before each line of the session's own source. */
  settles: boolean;
  /** It leads back to where it was, after a journey that failed or was interrupted. */
  readonly isReturning: boolean;
  /** Runs a line by `body`, and remembers it unless it is part of another one. */
  run(line: string, body: () => Answer<number>): Answer<number>;
  /** A command reads a file of the host: what it reads may be another thing next time. */
  readsFile(path: string): void;
  /** Gives the present moment a name: a new one of its own for null. */
  mark(name: string | null): Promise<Checkpoint>;
  /** The moments that have names, oldest first. */
  readonly checkpoints: readonly Checkpoint[];
  goTo(place: Place): Promise<Arrival>;
  /** To before the last command, or before as many as `commands`. */
  goBack(commands: number): Promise<Arrival>;
  /** Closes the image, writes the changes to the files, and begins anew there. EBUSY while requests are in flight. */
  commit(): Promise<readonly WrittenFile[]>;
  /** The session ends: what it has suspended may go on, and be cancelled. */
  end(): void;
}
