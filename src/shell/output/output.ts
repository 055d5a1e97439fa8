/** Where a session's text goes. */
import type { OutputStream } from '../../block/events/trace.ts';
import type { Pending } from '../../util/steps.ts';
import type { Paint } from '../../util/style.ts';

/** Listens to what a session prints. */
export type OutputTap = (stream: OutputStream, text: string, client: string | null) => void;

/** Text that is no part of what commands print. */
export type OutputKind = 'prompt';

/**
 * Text leaves in the order of the calls within one stream. Standard output may be buffered as a C program's is
 * (that is what `flush` and `drop` are for); standard error is not.
 */
export interface Output {
  /** `kind` may be left out by an output that takes a prompt as other text. */
  stdout(text: string, kind?: OutputKind): void;
  stderr(text: string): void;
  /** Is told of all text but prompts; `client` is the console that it goes to. Left out where nothing may listen. */
  tap?: OutputTap | null;
  /** Writes out what standard output has buffered. */
  flush(): void;
  /** Waits until a slow reader has taken what was written; undefined if it has. Left out where writing waits. */
  drained?(): Pending;
  /**
   * Before a sudden end: forgets what standard output has buffered, as a program does that calls abort(3), and makes
   * sure of what has left.
   */
  drop(): void;
  /**
   * Shows a line, without its newline, until something else is written or another line takes its place; an empty one
   * takes it away. Left out where there is no terminal for it.
   */
  readonly progress?: ((line: string) => void) | undefined;
  /**
   * Shows a text that may be longer than the screen, a page at a time. Left out where there is no person to turn the
   * pages.
   */
  readonly page?: ((text: string) => Promise<void>) | undefined;
  /** Whether a person sits in front of it: hints are given, which a pipe must not see. */
  readonly isTerminal: boolean;
  /** How wide the terminal is; left out where there is none. */
  readonly columns?: number | undefined;
  /** Styles of the terminal; left out where there are none. */
  readonly paint?: Paint | undefined;
}
