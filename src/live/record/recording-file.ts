/** The file of a recording, written in pieces; what is on the disk is whole at any moment. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { BlockError, withContext } from '../../block/error.ts';
import type { TraceRecord } from '../../block/events/trace.ts';
import { Errno, hostErrno } from '../../util/errno.ts';
import type { RecordingLine } from './schema.ts';

/** Takes the lines of a recording in order, the header first, in one of its forms. All methods fail with the host's errno. */
export interface RecordingSink {
  /** A record of the bus. */
  record(record: TraceRecord): void;
  /** Any other line. */
  line(line: Exclude<RecordingLine, TraceRecord>): void;
  /** Writes what is buffered to the file. */
  flush(): void;
  close(): void;
}

/** Makes or empties a file. Fails with the host's errno and "Could not open 'NAME': …". */
function openRecordingFile(path: string): number {
  return withContext(`Could not open '${path}'`, () => openSync(path, 'w'));
}

/** Lines that follow each other; may be a pipe. */
export class LogFile {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openRecordingFile(path);
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

  /** `ending` gives what has to follow after everything appended so far. */
  constructor(path: string, ending: () => string) {
    this.#fd = openRecordingFile(path);
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
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    try {
      done += writeSync(fd, bytes, done, bytes.length - done, at);
    } catch (error) {
      const errno = hostErrno(error);
      if (errno === Errno.EAGAIN || errno === Errno.EINTR) continue;
      throw new BlockError(errno);
    }
  }
}
