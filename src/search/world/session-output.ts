/** The output of a session in a world: kept as text, and shown elsewhere too if there is a place for it. */
import type { Output } from '../../shell/output/output.ts';
import type { Pending } from '../../util/steps.ts';
import type { Paint } from '../../util/style.ts';

/** The text that a session has written. */
export interface Transcript {
  stdout: string;
  stderr: string;
}

/** Keeps what is written. Only with `echo`, and as that is, it may be a terminal. */
export class SessionOutput implements Output {
  readonly transcript: Transcript = { stdout: '', stderr: '' };
  readonly #said: ((text: string) => void) | undefined;
  readonly #echo: Output | undefined;

  /** `said` is told of what goes to standard error. */
  constructor(said: ((text: string) => void) | undefined, echo: Output | undefined) {
    this.#said = said;
    this.#echo = echo;
  }

  get isTerminal(): boolean {
    return this.#echo?.isTerminal === true;
  }

  get paint(): Paint | undefined {
    return this.#echo?.paint;
  }

  stdout(text: string): void {
    this.transcript.stdout += text;
    this.#echo?.stdout(text);
  }

  stderr(text: string): void {
    this.transcript.stderr += text;
    this.#said?.(text);
    this.#echo?.stderr(text);
  }

  flush(): void {
    this.#echo?.flush();
  }

  drained(): Pending {
    return this.#echo?.drained?.();
  }

  drop(): void {
    this.#echo?.drop();
  }
}
