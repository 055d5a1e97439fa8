/** A recording as a page that shows it, whole at any moment. */
import type { TraceRecord } from '../../block/events/trace.ts';
import { Encoder, encodeLine } from './encoder.ts';
import { pageEnd, pageStart } from '../page/page.ts';
import type { RecordingLine } from './schema.ts';
import { EndedFile, type RecordingSink } from './recording-file.ts';

/** A page with more would not open any more in a browser. */
const MAX_PAGE_RECORDS = 500_000;

/** A page that holds its recording. */
export class PageSink implements RecordingSink {
  readonly #file: EndedFile;
  readonly #encoder: Encoder;
  #records = 0;
  #dropped = 0;

  constructor(fd: number) {
    const file = new EndedFile(fd, () => this.#noteOfDropped() + pageEnd);
    this.#file = file;
    this.#encoder = new Encoder((lines) => file.append(lines));
    file.append(Buffer.from(pageStart));
  }

  record(record: TraceRecord): void {
    this.#records += 1;
    if (this.#records > MAX_PAGE_RECORDS) this.#dropped += 1;
    else this.#encoder.record(record);
  }

  line(line: RecordingLine): void {
    this.#encoder.line(line);
  }

  flush(): void {
    this.#encoder.flush();
  }

  close(): void {
    try {
      // Also when nothing is held back: the ending may have to tell of dropped records.
      this.flush();
      this.#file.append(Buffer.alloc(0));
    } finally {
      this.#file.close();
    }
  }

  #noteOfDropped(): string {
    if (this.#dropped === 0) return '';
    return encodeLine({
      kind: 'note',
      text: `the page holds the first ${MAX_PAGE_RECORDS} records; .ndjson keeps all`,
      dropped: this.#dropped,
    });
  }
}
