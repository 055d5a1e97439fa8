/** A change of the graph in several steps that is done as a whole or not at all. */
import type { BlockNode } from './node.ts';

/** Collects what is to be done once all steps have succeeded, and what undoes them if one has not. */
export class Transaction {
  readonly #onCommit: (() => void)[] = [];
  readonly #onAbort: (() => void)[] = [];
  /** Nodes that lost a reference by the commit or the abort; the caller releases them. */
  readonly released: BlockNode[] = [];

  /** Adds an action that finishes a step for good. Later steps are finished first. */
  onCommit(action: () => void): void {
    this.#onCommit.push(action);
  }

  /** Adds an action that undoes a step. Later steps are undone first. */
  onAbort(action: () => void): void {
    this.#onAbort.push(action);
  }

  /** Makes all of it final. Once, instead of `abort`. */
  commit(): void {
    for (const action of this.#onCommit.reverse()) action();
  }

  /** Takes all of it back. Once, instead of `commit`. */
  abort(): void {
    for (const action of this.#onAbort.reverse()) action();
  }
}
