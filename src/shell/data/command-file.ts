/** The lines of a command file, read piece by piece: it may be a FIFO that is still being written, or have no end. */
import { FileReader } from '../../util/file-reader.ts';
import type { Answer } from '../../util/steps.ts';
import type { LineSource } from '../script.ts';
import { LineSplitter } from './line-splitter.ts';

const CHUNK_BYTES = 64 << 10;
/** How often a pipe without data is looked at. */
const PAUSE_MS = 10;

/** A file as a source of command lines. The constructor and `next` throw the host's errors. */
export class CommandFile implements LineSource {
  readonly path: string;
  readonly #reader: FileReader;
  readonly #isInterrupted: () => boolean;
  readonly #lines = new LineSplitter();
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #lineNumber = 0;
  #doneBytes = 0;
  #givenBytes = 0;
  #hasEnded = false;

  /** `isInterrupted` ends a wait for a pipe. */
  constructor(path: string, isInterrupted: () => boolean) {
    this.path = path;
    this.#reader = new FileReader(path);
    this.#isInterrupted = isInterrupted;
  }

  /** The length in bytes; null if it is not known. */
  get bytes(): number | null {
    return this.#reader.bytes;
  }

  /** How long the lines before the last one are, in characters with their newlines. */
  get doneBytes(): number {
    return this.#doneBytes;
  }

  /** "FILE:LINE" of the line that was given last. */
  get place(): string {
    return `${this.path}:${Math.max(1, this.#lineNumber)}`;
  }

  next(): Answer<string | null> {
    for (;;) {
      const line = this.#lines.shift() ?? (this.#hasEnded ? this.#lines.takeRest() : null);
      if (line !== null || this.#hasEnded) {
        this.#lineNumber += 1;
        this.#doneBytes = this.#givenBytes;
        this.#givenBytes += line === null ? 0 : line.length + 1;
        return line;
      }
      if (!this.#read()) return this.#arrival();
    }
  }

  /** False if there is nothing to be read yet. */
  #read(): boolean {
    const count = this.#reader.readNow(this.#chunk);
    if (count === null) return false;
    if (count > 0) this.#lines.push(this.#chunk.subarray(0, count));
    if (count === 0 || this.#lines.isTooLong) this.#hasEnded = true;
    return true;
  }

  async #arrival(): Promise<string | null> {
    while (!this.#isInterrupted()) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (this.#read()) return this.next();
    }
    this.#hasEnded = true;
    return null;
  }

  close(): void {
    this.#reader.close();
  }
}
