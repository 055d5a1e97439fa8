/** A recording as a trace for Perfetto, valid at any moment. */
import type { TraceRecord } from '../../block/events/trace.ts';
import { ChromeTrace } from './chrome-trace.ts';
import type { RecordingLine } from './schema.ts';
import { EndedFile, type RecordingSink } from './recording-file.ts';

/** Characters of JSON held back. */
const TRACE_BATCH = 256 << 10;

/** A file for Perfetto. */
export class ChromeSink implements RecordingSink {
  readonly #trace = new ChromeTrace();
  readonly #file: EndedFile;
  #held: string;

  constructor(fd: number) {
    this.#file = new EndedFile(fd, () => this.#trace.ending());
    this.#held = this.#trace.beginning;
  }

  record(record: TraceRecord): void {
    this.line(record);
  }

  line(line: RecordingLine): void {
    this.#held += this.#trace.convert(line);
    if (this.#held.length > TRACE_BATCH) this.flush();
  }

  flush(): void {
    if (this.#held === '') return;
    const held = this.#held;
    this.#held = '';
    this.#file.append(Buffer.from(held));
  }

  close(): void {
    try {
      this.flush();
    } finally {
      this.#file.close();
    }
  }
}
