/** A recording as a page that shows it, whole at any moment. */
import type { TraceRecord } from '../../block/events/trace.ts';
import { Encoder, encodeLine } from './encoder.ts';
import { loadNow } from '../../util/load-now.ts';
import { packedPiece, pageEnd, pageStart } from '../page/page.ts';
import type { RecordingLine } from './schema.ts';
import { EndedFile, type RecordingSink } from './recording-file.ts';

/** A page with more would not open any more in a browser. */
const MAX_PAGE_RECORDS = 500_000;

/** Lines of so many bytes are packed together. What comes after the last whole piece is packed at each flush anew. */
const PIECE_BYTES = 512 << 10;
/** Of deflate. */
const LEVEL = 6;

/** A page that holds its recording. */
export class PageSink implements RecordingSink {
  readonly #file: EndedFile;
  readonly #encoder: Encoder;
  /** Lines that are in no whole piece yet. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  #records = 0;
  #dropped = 0;

  constructor(fd: number) {
    const file = new EndedFile(fd, () => this.#packedRest() + pageEnd);
    this.#file = file;
    this.#encoder = new Encoder((lines) => this.#add(lines));
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

  #add(lines: Buffer): void {
    this.#rest.push(Buffer.from(lines));
    this.#restBytes += lines.length;
    if (this.#restBytes < PIECE_BYTES) return;
    const piece = packed(this.#rest);
    this.#rest = [];
    this.#restBytes = 0;
    this.#file.append(Buffer.from(piece));
  }

  #packedRest(): string {
    const note = Buffer.from(this.#noteOfDropped());
    return this.#restBytes + note.length === 0 ? '' : packed([...this.#rest, note]);
  }

  flush(): void {
    this.#encoder.flush();
    this.#file.append(Buffer.alloc(0));
  }

  close(): void {
    try {
      // Also when nothing is held back: the ending may have to tell of dropped records.
      this.flush();
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

function packed(lines: readonly Buffer[]): string {
  return packedPiece(loadNow('node:zlib').deflateRawSync(Buffer.concat(lines), { level: LEVEL }));
}
