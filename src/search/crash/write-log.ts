/** Logs of writes as dm-log-writes of Linux and blklogwrites of QEMU make them, read and written as a whole. */
import { invalidArgument } from '../../block/error.ts';
import {
  decodeHead,
  decodeSuper,
  encodeSuper,
  HEAD_BYTES,
  LOG_MAGIC,
  LOG_VERSION,
  LogFlag,
  putHead,
  SUPER_BYTES,
} from '../../util/log-heads.ts';
import type { LogEntry } from '../../sandbox/disks/disk-log.ts';

const KNOWN_FLAGS = 31n;
const MIN_SECTOR_BYTES = 512;
const MAX_SECTOR_BYTES = 1 << 20;
/** Of one request. */
const MAX_DATA_BYTES = 1 << 30;
const MAX_ENTRIES = 10_000_000;
/** Zeroes are logged as data, in writes of this length. */
const ZERO_PIECE_BYTES = 1 << 20;

/** A file that is read piece by piece. `read` fills the buffer, with zeroes behind the end. */
export interface LogSource {
  readonly lengthBytes: number;
  read(offset: number, data: Buffer): void;
}

/**
 * The changes and flushes of a log, as those of disk 0. `memoryMaxBytes` bounds the data of all. Throws EINVAL for what
 * is no log, or a damaged one.
 */
export function readWriteLog(source: LogSource, memoryMaxBytes: number): LogEntry[] {
  const head = Buffer.alloc(SUPER_BYTES);
  source.read(0, head);
  const { magic, version, entryCount: count, sectorBytes } = decodeSuper(head);
  if (magic !== LOG_MAGIC) throw invalidArgument('not a log of writes');
  if (version !== LOG_VERSION) throw invalidArgument(`version ${version} of logs of writes is not known`);
  const isPowerOfTwo = (sectorBytes & (sectorBytes - 1)) === 0;
  if (!isPowerOfTwo || sectorBytes < MIN_SECTOR_BYTES || sectorBytes > MAX_SECTOR_BYTES) {
    throw invalidArgument(`a log of writes with sectors of ${sectorBytes} bytes`);
  }
  if (count > MAX_ENTRIES) throw invalidArgument(`a log of ${count} writes is too long`);
  const reader = new Reader(source, sectorBytes, memoryMaxBytes);
  const log: LogEntry[] = [];
  for (let index = 0; index < Number(count); index++) log.push(...reader.next(index));
  return log;
}

class Reader {
  readonly #source: LogSource;
  readonly #sectorBytes: number;
  readonly #memoryMaxBytes: number;
  #at: number;
  #memory = 0;

  constructor(source: LogSource, sectorBytes: number, memoryMaxBytes: number) {
    this.#source = source;
    this.#sectorBytes = sectorBytes;
    this.#memoryMaxBytes = memoryMaxBytes;
    this.#at = sectorBytes;
  }

  /** The entries that one request comes to: a flush before it, its change, a flush behind it. */
  next(index: number): LogEntry[] {
    const refuse = (why: string): Error => invalidArgument(`entry ${index} of the log ${why}`);
    const head = Buffer.alloc(HEAD_BYTES);
    if (this.#at + HEAD_BYTES > this.#source.lengthBytes) throw refuse('is behind its end');
    this.#source.read(this.#at, head);
    this.#at += this.#sectorBytes;
    const { sector, sectorCount: sectors, flags } = decodeHead(head);
    if ((flags & ~KNOWN_FLAGS) !== 0n) throw refuse(`has unknown flags: 0x${flags.toString(16)}`);
    const has = (flag: number): boolean => (flags & BigInt(flag)) !== 0n;
    // A mark is text in the block of its head.
    if (has(LogFlag.MARK)) return [];
    const unit = BigInt(this.#sectorBytes);
    if ((sector + sectors) * unit > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('is beyond what a file can hold');
    const offset = Number(sector * unit);
    const bytes = Number(sectors * unit);
    const place = { disk: 0, flags: 0, request: index + 1, command: 0 };
    const flush: LogEntry = { ...place, kind: 'flush', offset: 0, bytes: 0, data: null };
    const entries: LogEntry[] = has(LogFlag.FLUSH) ? [flush] : [];
    if (has(LogFlag.DISCARD)) entries.push({ ...place, kind: 'discard', offset, bytes, data: null });
    else if (bytes > 0) entries.push({ ...place, kind: 'write', offset, bytes, data: this.#data(bytes, refuse) });
    if (has(LogFlag.FUA) && bytes > 0) entries.push(flush);
    return entries;
  }

  #data(bytes: number, refuse: (why: string) => Error): Buffer {
    if (bytes > MAX_DATA_BYTES || this.#at + bytes > this.#source.lengthBytes) throw refuse('is longer than the log');
    this.#memory += bytes;
    if (this.#memory > this.#memoryMaxBytes) {
      throw invalidArgument(`the log has more than ${this.#memoryMaxBytes / 2 ** 20} MiB of data`);
    }
    const data = Buffer.alloc(bytes);
    this.#source.read(this.#at, data);
    this.#at += bytes;
    return data;
  }
}

/** One request as it is logged. */
interface Piece {
  readonly flags: number;
  /** Index into the log that is encoded. */
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * The changes and flushes of disk 0 as a file, in parts. Only whole sectors can be logged: a write that does not fill
 * its first and last sector is logged with what is there before it. `before` reads that from the disk as it is before
 * the entry of an index; the indices ascend. A truncate cannot be logged. Throws EINVAL for zeroes of more than 1 GiB.
 */
export function* encodeWriteLog(
  log: readonly LogEntry[],
  before: (index: number, offset: number, data: Buffer) => void,
): Generator<Buffer> {
  const pieces = log.flatMap((entry, index) => (entry.disk === 0 ? piecesOf(entry, index) : []));
  yield encodeSuper(pieces.length, MIN_SECTOR_BYTES);
  for (const { flags, index, offset, bytes } of pieces) {
    const start = offset - (offset % MIN_SECTOR_BYTES);
    const end = Math.ceil((offset + bytes) / MIN_SECTOR_BYTES) * MIN_SECTOR_BYTES;
    const head = Buffer.alloc(MIN_SECTOR_BYTES);
    putHead(head, start / MIN_SECTOR_BYTES, (end - start) / MIN_SECTOR_BYTES, flags);
    yield head;
    if (flags !== 0) continue;
    const whole = Buffer.alloc(end - start);
    before(index, start, whole);
    const from = offset - start;
    const entry = log[index] as LogEntry;
    if (entry.data === null) whole.fill(0, from, from + bytes);
    else entry.data.copy(whole, from);
    yield whole;
  }
}

function piecesOf({ kind, offset, bytes }: LogEntry, index: number): Piece[] {
  switch (kind) {
    case 'flush':
      return [{ flags: LogFlag.FLUSH, index, offset: 0, bytes: 0 }];
    case 'discard':
      return [{ flags: LogFlag.DISCARD, index, offset, bytes }];
    case 'write':
      return [{ flags: 0, index, offset, bytes }];
    case 'zero': {
      if (bytes > MAX_DATA_BYTES) throw invalidArgument(`${bytes} bytes of zeroes are too many for a log of writes`);
      const pieces: Piece[] = [];
      for (let at = 0; at < bytes; at += ZERO_PIECE_BYTES) {
        pieces.push({ flags: 0, index, offset: offset + at, bytes: Math.min(ZERO_PIECE_BYTES, bytes - at) });
      }
      return pieces;
    }
    case 'truncate':
      return [];
  }
}
