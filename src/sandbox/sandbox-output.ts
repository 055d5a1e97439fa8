/** The output of a session that runs parts of itself again: then nothing of it is seen. */
import type { Output } from '../shell/output/output.ts';
import type { Paint } from '../util/style.ts';
import type { Pending } from '../util/steps.ts';

/** Another output that can be silenced. What it is, a terminal or not, stays the same meanwhile. */
export class SandboxOutput implements Output {
  isSilent = false;
  readonly #own: Output;

  constructor(own: Output) {
    this.#own = own;
  }

  stdout(text: string): void {
    if (!this.isSilent) this.#own.stdout(text);
  }

  stderr(text: string): void {
    if (!this.isSilent) this.#own.stderr(text);
  }

  flush(): void {
    this.#own.flush();
  }

  drained(): Pending {
    return this.#own.drained?.();
  }

  drop(): void {
    this.#own.drop();
  }

  get progress(): ((line: string) => void) | undefined {
    return this.isSilent ? undefined : this.#own.progress;
  }

  get page(): ((text: string) => Promise<void>) | undefined {
    return this.isSilent ? undefined : this.#own.page;
  }

  get isTerminal(): boolean {
    return this.#own.isTerminal;
  }

  get columns(): number | undefined {
    return this.#own.columns;
  }

  get paint(): Paint | undefined {
    return this.#own.paint;
  }
}
