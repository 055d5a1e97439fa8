/** Reads files that users name, from the start to the end: also FIFOs and devices, but never waits long for one. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { Errno, HostError } from './errno.ts';

/** A pipe that has nothing for so long counts as one that will have nothing. */
const PATIENCE_MS = 100;
const PAUSE_MS = 5;

/** An open file. The methods throw the host's errors. */
export class FileReader {
  /** The length in bytes of a regular file; null for anything else, which may have no end. */
  readonly bytes: number | null;
  readonly #fd: number;
  readonly #isPipe: boolean;
  #hasRead = false;

  /** Opens a file without waiting for a writer, as a FIFO's reader would. */
  constructor(path: string) {
    // oxlint-disable-next-line no-bitwise -- flags
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(this.#fd);
    this.bytes = stats.isFile() ? stats.size : null;
    this.#isPipe = stats.isFIFO() || stats.isSocket();
  }

  /** Reads the next bytes into `target`: how many, 0 at the end, null if a pipe has nothing yet. */
  readNow(target: Uint8Array): number | null {
    try {
      const count = readSync(this.#fd, target, 0, target.length, null);
      // A FIFO that nothing has been written to has no writer yet.
      if (count === 0 && this.#isPipe && !this.#hasRead) return null;
      this.#hasRead = true;
      return count;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return null;
      throw error;
    }
  }

  /** Reads the next bytes into `target`: how many, 0 at the end. EAGAIN if a pipe has nothing for 100 ms. */
  read(target: Uint8Array): number {
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += PAUSE_MS) {
      const count = this.readNow(target);
      if (count !== null) return count;
      pause(PAUSE_MS);
    }
    throw new HostError(Errno.EAGAIN);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
