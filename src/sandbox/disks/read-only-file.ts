/** A file of the user as a search sees it: opened read-only, and read piece by piece into memory of a bounded size. */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { BlockError, invalidArgument } from '../../block/error.ts';
import { readRange } from '../../sys/positional-io.ts';
import { type Extent, extentAt } from '../../sys/seek.ts';
import { hostErrno, strerror } from '../../util/errno.ts';

const PIECE_BYTES = 64 << 10;
/** Of one file; the oldest pieces make room for new ones. */
const PIECES_MAX = 1024;

/** An open file whose content does not change during the search. */
export class ReadOnlyFile {
  readonly lengthBytes: number;
  /** Its device and inode: names of one file are one file. */
  readonly identity: string;
  readonly #fd: number;
  #state: string;
  readonly #pieces = new Map<number, Buffer>();

  /** Throws BlockError with QEMU's texts if it cannot be opened, or is no regular file. */
  constructor(path: string) {
    this.#fd = openOrExplain(path);
    const stats = fstatSync(this.#fd, { bigint: true });
    this.lengthBytes = Number(stats.size);
    this.identity = `${stats.dev}:${stats.ino}`;
    this.#state = stateOf(stats);
  }

  /** Fills `data` from `offset`, with zeroes behind the end of the file. */
  read(offset: number, data: Buffer): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const number = Math.floor(at / PIECE_BYTES);
      const from = at - number * PIECE_BYTES;
      const count = Math.min(PIECE_BYTES - from, data.length - done);
      this.#piece(number).copy(data, done, from, from + count);
      done += count;
    }
  }

  #piece(number: number): Buffer {
    const known = this.#pieces.get(number);
    if (known !== undefined) return known;
    const piece = Buffer.alloc(PIECE_BYTES);
    readRange(this.#fd, piece, number * PIECE_BYTES, false);
    if (this.#pieces.size >= PIECES_MAX) {
      for (const oldest of this.#pieces.keys()) {
        this.#pieces.delete(oldest);
        break;
      }
    }
    this.#pieces.set(number, piece);
    return piece;
  }

  /** Data or hole at an offset before the end of the file; null where the host cannot tell. */
  extentAt(offset: number): Extent | null {
    return extentAt(this.#fd, offset);
  }

  /** Whether a name is still that of this file, and the file has not been written since it was opened. */
  isAsOpened(path: string): boolean {
    return stateOf(statSync(path, { bigint: true })) === this.#state;
  }

  /** The file has been written by its own copy. */
  takeAsOpened(path: string): void {
    this.#state = stateOf(statSync(path, { bigint: true }));
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function stateOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

function openOrExplain(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const errno = hostErrno(error);
    throw new BlockError(errno, `Could not open '${path}': ${strerror(errno)}`);
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw invalidArgument(`'file' driver requires '${path}' to be a regular file`);
}
