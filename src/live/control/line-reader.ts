/** Lines of a peer that is not trusted: cut from bytes as they come, none longer than a limit. */

/** Cuts bytes into lines. What is kept is never more than the limit and the latest bytes. */
export class LineReader {
  readonly #maxBytes: number;
  /** The bytes behind the last newline. */
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The unfinished line is longer than the limit: the peer is to be left. */
  get isTooLong(): boolean {
    return this.#restBytes > this.#maxBytes;
  }

  /** The lines that these bytes end, without their newlines. */
  push(bytes: Buffer): string[] {
    const end = bytes.lastIndexOf(0x0a);
    if (end < 0) {
      this.#keep(bytes);
      return [];
    }
    const whole = bytes.subarray(0, end);
    const text = (this.#restBytes === 0 ? whole : Buffer.concat([...this.#rest, whole])).toString();
    this.#rest = [];
    this.#restBytes = 0;
    this.#keep(bytes.subarray(end + 1));
    return text.split('\n');
  }

  /** The text behind the last newline, at the end; empty if there is none. */
  takeRest(): string {
    const text = Buffer.concat(this.#rest).toString();
    this.#rest = [];
    this.#restBytes = 0;
    return text;
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0 || this.isTooLong) return;
    this.#rest.push(Buffer.from(bytes));
    this.#restBytes += bytes.length;
  }
}
