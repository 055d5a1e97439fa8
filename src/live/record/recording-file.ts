/** The file of a recording, written in pieces; what is on the disk is whole at any moment. */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { BlockError, withContext } from '../../block/error.ts';
import type { TraceRecord } from '../../block/events/trace.ts';
import { Errno, hostErrno } from '../../util/errno.ts';
import type { RecordingLine } from './schema.ts';

/**
 * Takes the lines of a recording in order, the header first, in one of its forms. All methods fail with the host's
 * errno.
 */
export interface RecordingSink {
  /** A record of the bus. */
  record(record: TraceRecord): void;
  /** Any other line. */
  line(line: Exclude<RecordingLine, TraceRecord>): void;
  /** Writes what is buffered to the file. */
  flush(): void;
  close(): void;
}

/** The identity of a file of the host, whatever its name. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/** Why a recording must not replace a file; null if it may. */
export type Objection = (file: FileIdentity) => string | null;

/** The identity in what stat(2) tells of a file. */
export function fileIdentity({ dev, ino }: Stats): FileIdentity {
  return { dev, ino };
}

/** Whether both are one file. */
export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** The beginnings of a recording's three forms. */
const beginnings = ['{"kind":"header"', '{"displayTimeUnit"', '<!doctype html>'];
const LONGEST_BEGINNING = 32;

/**
 * Opens a file for a recording and empties it; a pipe is opened without waiting for its reader. EEXIST, before anything
 * is lost, for a file to which there is an objection and for one that has content and is no recording: a slip must not
 * cost an image. ENXIO for a pipe without a reader. Other failures have the host's errno.
 */
export function openRecordingFile(path: string, objection: Objection): number {
  const context = `Could not open '${path}'`;
  const present = withContext(context, () => statSync(path, { throwIfNoEntry: false }));
  if (present?.isBlockDevice() === true)
    throw new BlockError(Errno.EEXIST, `'${path}' is not replaced: it is a device`);
  const isRegular = present === undefined || present.isFile();
  const mode = isRegular ? constants.O_RDWR | constants.O_CREAT : constants.O_WRONLY;
  const fd = withContext(context, () => openSync(path, mode | constants.O_NONBLOCK, 0o666));
  try {
    const stats = withContext(context, () => fstatSync(fd));
    const reason = objection(fileIdentity(stats)) ?? (stats.isFile() ? contentObjection(fd) : null);
    if (reason !== null) throw new BlockError(Errno.EEXIST, `'${path}' is not replaced: ${reason}`);
    if (stats.isFile()) withContext(context, () => ftruncateSync(fd));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function contentObjection(fd: number): string | null {
  const head = Buffer.alloc(LONGEST_BEGINNING);
  const text = head.toString('latin1', 0, readSync(fd, head, 0, LONGEST_BEGINNING, 0));
  const isRecording = text === '' || beginnings.some((beginning) => text.startsWith(beginning));
  return isRecording ? null : 'it has content that is no recording';
}

/** Lines that follow each other; may be a pipe. */
export class LogFile {
  readonly #fd: number;

  /** Takes over the descriptor. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Writes all of it. Fails with the host's errno. */
  append(bytes: Buffer): void {
    writeAll(this.#fd, bytes, null);
  }

  /** Once. */
  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * A file whose content needs an ending. Each piece is written with the ending behind it, over the ending of the piece
 * before, so that a program that dies leaves a valid file.
 */
export class EndedFile {
  readonly #fd: number;
  readonly #ending: () => string;
  /** Where the ending stands. */
  #position = 0;
  #size = 0;

  /** Takes over the descriptor; `ending` gives what has to follow after everything appended so far. */
  constructor(fd: number, ending: () => string) {
    this.#fd = fd;
    this.#ending = ending;
  }

  /** Writes content and ending. Fails with the host's errno. */
  append(content: Buffer): void {
    const bytes = Buffer.concat([content, Buffer.from(this.#ending())]);
    writeAll(this.#fd, bytes, this.#position);
    this.#position += content.length;
    const size = this.#position + bytes.length - content.length;
    if (size < this.#size) ftruncateSync(this.#fd, size);
    this.#size = size;
  }

  /** Once. */
  close(): void {
    closeSync(this.#fd);
  }
}

function writeAll(fd: number, bytes: Buffer, position: number | null): void {
  let waitedMs = 0;
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    try {
      done += writeSync(fd, bytes, done, bytes.length - done, at);
      waitedMs = 0;
    } catch (error) {
      const errno = hostErrno(error);
      if (errno === Errno.EINTR) continue;
      // A pipe whose reader is slow gets a while; the session cannot wait for it for ever.
      if (errno !== Errno.EAGAIN || waitedMs >= PIPE_WAIT_MS) throw new BlockError(errno);
      Atomics.wait(sleeping, 0, 0, PIPE_POLL_MS);
      waitedMs += PIPE_POLL_MS;
    }
  }
}

/** How long a full pipe is waited for, and how often it is tried. */
const PIPE_WAIT_MS = 2000;
const PIPE_POLL_MS = 5;
const sleeping = new Int32Array(new SharedArrayBuffer(4));
