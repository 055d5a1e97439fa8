/** Shows on a terminal how far a long request has come. */
import type { GraphContext } from '../../block/graph/context.ts';
import { formatSize } from '../../util/format.ts';
import type { Output } from '../output/output.ts';
import { Progress } from '../output/progress.ts';

/** The request of the running command, if its progress is shown. */
export class Transfer {
  readonly #output: Output;
  readonly #context: GraphContext;
  #progress: Progress | null = null;

  constructor(output: Output, context: GraphContext) {
    this.#output = output;
    this.#context = context;
  }

  /** Shows how much of a request's bytes was moved, until `hide`. */
  show(operation: string, bytes: number): void {
    const progress = Progress.of(this.#output, operation, bytes, formatSize);
    if (progress === null) return;
    this.#progress = progress;
    this.#context.onTransfer = (count) => progress.add(count);
  }

  /** Ends what `show` began, if it did. */
  hide(): void {
    if (this.#progress === null) return;
    this.#progress.end();
    this.#progress = null;
    this.#context.onTransfer = undefined;
  }
}
