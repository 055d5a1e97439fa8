/** Lines of command files and of standard input, cut from chunks of bytes. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';

/** A longer line is taken for an endless one. */
const MAX_LINE_BYTES = 4 << 20;

/** Cuts bytes into lines; the text of whole chunks is decoded at once. */
export class LineSplitter {
  /** Decoded text that ends with a newline, and where its next line starts. */
  #text = '';
  #position = 0;
  /** The bytes behind the last newline. */
  #rest: Buffer[] = [];
  #restBytes = 0;

  /** Takes a chunk in; its memory is the caller's again afterwards. */
  push(chunk: Buffer): void {
    const end = chunk.lastIndexOf(0x0a) + 1;
    if (end === 0) {
      this.#keep(chunk);
      return;
    }
    const whole = chunk.subarray(0, end);
    const bytes = this.#restBytes === 0 ? whole : Buffer.concat([...this.#rest, whole]);
    this.#rest = [];
    this.#restBytes = 0;
    this.#text = this.#text.slice(this.#position) + bytes.toString();
    this.#position = 0;
    if (end < chunk.length) this.#keep(chunk.subarray(end));
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0 || this.isTooLong) return;
    this.#rest.push(Buffer.from(bytes));
    this.#restBytes += bytes.length;
  }

  /** The unfinished line is longer than any that we take. */
  get isTooLong(): boolean {
    return this.#restBytes > MAX_LINE_BYTES;
  }

  /** The next whole line without its newline, or null. */
  shift(): string | null {
    const end = this.#text.indexOf('\n', this.#position);
    if (end < 0) return null;
    const line = this.#text.slice(this.#position, end);
    this.#position = end + 1;
    return line;
  }

  /** The text behind the last newline; null if there is none. E2BIG for an endless line. */
  takeRest(): string | null {
    if (this.#restBytes === 0) return null;
    if (this.isTooLong) throw new BlockError(Errno.E2BIG, 'a line of the input is too long');
    const text = Buffer.concat(this.#rest).toString();
    this.#rest = [];
    this.#restBytes = 0;
    return text;
  }
}
