/** Lines of a peer that is not trusted: cut from bytes as they come, none longer than a limit. */

const NEWLINE = 0x0a;

/** Cuts bytes into lines. What is kept is never more than the limit and the latest bytes. */
export class LineReader {
  /** Whether a line is longer than the limit: the peer is to be left. That line and all behind it are thrown away. */
  isTooLong = false;
  readonly #maxBytes: number;
  /** The bytes behind the last newline. */
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that these bytes end, without their newlines. */
  push(bytes: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (!this.#hasRoom(end - start)) return lines;
      if (this.#restBytes === 0) {
        lines.push(bytes.toString('utf8', start, end));
      } else {
        this.#rest.push(bytes.subarray(start, end));
        lines.push(this.takeRest());
      }
      start = end + 1;
    }
    const restBytes = bytes.length - start;
    if (restBytes === 0 || !this.#hasRoom(restBytes)) return lines;
    this.#rest.push(Buffer.from(bytes.subarray(start)));
    this.#restBytes += restBytes;
    return lines;
  }

  /** The text behind the last newline, at the end; empty if there is none. */
  takeRest(): string {
    const text = Buffer.concat(this.#rest).toString();
    this.#rest = [];
    this.#restBytes = 0;
    return text;
  }

  /** Whether the line may be longer by so many bytes. */
  #hasRoom(bytes: number): boolean {
    if (this.#restBytes + bytes > this.#maxBytes) this.isTooLong = true;
    if (this.isTooLong) this.#rest = [];
    return !this.isTooLong;
  }
}
