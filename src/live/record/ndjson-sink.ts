/** A run as lines of JSON. */
import type { TraceRecord } from '../../block/events/trace.ts';
import { Encoder } from './encoder.ts';
import type { RunLine } from './schema.ts';
import { LogFile } from './run-file.ts';
import type { RunSink } from './sink.ts';

/** A file of lines of JSON. */
export class NdjsonSink implements RunSink {
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

  line(line: RunLine): void {
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
