/** The three forms of a recording: lines of JSON, which most ask for, and two that are loaded on need. */
import path from 'node:path';
import { BlockError } from '../../block/error.ts';
import type { TraceRecord } from '../../block/events/trace.ts';
import { Errno } from '../../util/errno.ts';
import { Encoder } from './encoder.ts';
import type { RecordingLine } from './schema.ts';
import { LogFile, type Objection, openRecordingFile, type RecordingSink } from './recording-file.ts';

/** A file of lines of JSON. */
class NdjsonSink implements RecordingSink {
  readonly #file: LogFile;
  readonly #encoder: Encoder;

  constructor(fd: number) {
    const file = new LogFile(fd);
    this.#file = file;
    this.#encoder = new Encoder((lines) => file.append(lines));
  }

  record(record: TraceRecord): void {
    this.#encoder.record(record);
  }

  line(line: RecordingLine): void {
    this.#encoder.line(line);
  }

  flush(): void {
    this.#encoder.flush();
  }

  close(): void {
    try {
      this.flush();
    } finally {
      this.#file.close();
    }
  }
}

const makers: Readonly<Record<string, (fd: number) => RecordingSink | Promise<RecordingSink>>> = {
  '.ndjson': (fd) => new NdjsonSink(fd),
  '.json': async (fd) => new (await import('./chrome-sink.ts')).ChromeSink(fd),
  '.html': async (fd) => new (await import('./page-sink.ts')).PageSink(fd),
};

/**
 * Opens a file for a recording; the extension of its name chooses the form. EINVAL for other names, EEXIST for a file
 * that must not be replaced (see `openRecordingFile`), the host's errno if it cannot be made.
 */
export async function openSink(file: string, objection: Objection): Promise<RecordingSink> {
  const make = makers[path.extname(file).toLowerCase()];
  if (make === undefined) {
    throw new BlockError(Errno.EINVAL, `'${file}': a recording is .ndjson, .json (for Perfetto) or .html`);
  }
  return make(openRecordingFile(file, objection));
}
