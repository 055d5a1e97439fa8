/** A queue whose first element is taken without moving the others. */

/** Elements in the order in which they came. */
export class Fifo<T> {
  #elements: T[] = [];
  /** How many at the beginning were taken. */
  #taken = 0;

  get length(): number {
    return this.#elements.length - this.#taken;
  }

  push(element: T): void {
    this.#elements.push(element);
  }

  /** Takes the first element; undefined if there is none. */
  shift(): T | undefined {
    if (this.#taken === this.#elements.length) return undefined;
    const element = this.#elements[this.#taken];
    this.#taken += 1;
    // Those taken stay until they are as many as the rest, so that no element is moved often.
    if (this.#taken * 2 >= this.#elements.length) {
      this.#elements.splice(0, this.#taken);
      this.#taken = 0;
    }
    return element;
  }

  /** Takes all elements. */
  takeAll(): T[] {
    const all = this.#taken === 0 ? this.#elements : this.#elements.slice(this.#taken);
    this.#elements = [];
    this.#taken = 0;
    return all;
  }
}
