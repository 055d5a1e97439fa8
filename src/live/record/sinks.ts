/** The three forms of a recording: lines of JSON, which most ask for, and two that are loaded on need. */
import path from 'node:path';
import { BlockError } from '../../block/error.ts';
import type { TraceRecord } from '../../block/events/trace.ts';
import { Errno } from '../../util/errno.ts';
import { Encoder } from './encoder.ts';
import type { RecordingLine } from './schema.ts';
import { LogFile, type RecordingSink } from './recording-file.ts';

/** A file of lines of JSON. */
class NdjsonSink implements RecordingSink {
  readonly #file: LogFile;
  readonly #encoder: Encoder;

  constructor(path: string) {
    const file = new LogFile(path);
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

const makers: Readonly<Record<string, (file: string) => RecordingSink | Promise<RecordingSink>>> = {
  '.ndjson': (file) => new NdjsonSink(file),
  '.json': async (file) => new (await import('./chrome-sink.ts')).ChromeSink(file),
  '.html': async (file) => new (await import('./page-sink.ts')).PageSink(file),
};

/** Opens a file for a recording; the end of its name says the form. EINVAL for other names, the host's errno if it cannot be made. */
export async function openSink(file: string): Promise<RecordingSink> {
  const make = makers[path.extname(file).toLowerCase()];
  if (make === undefined) {
    throw new BlockError(Errno.EINVAL, `'${file}': a recording is .ndjson, .json (for Perfetto) or .html`);
  }
  return make(file);
}
