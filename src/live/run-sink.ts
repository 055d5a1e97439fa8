/** The three forms in which a run is kept, behind one interface. */
import path from 'node:path';
import { BlockError } from '../block/error.ts';
import type { TraceRecord } from '../block/trace.ts';
import { Errno } from '../util/errno.ts';
import { ChromeTrace } from './chrome-trace.ts';
import { Encoder, encodeLine } from './encoder.ts';
import { pageEnd, pageStart } from './page/page.ts';
import type { RunLine } from './record-schema.ts';
import { EndedFile, LogFile } from './run-file.ts';

/** Takes the lines of a run in order, the header first. All methods fail with the host's errno. */
export interface RunSink {
  /** A record of the bus. */
  record(record: TraceRecord): void;
  /** Any other line. */
  line(line: Exclude<RunLine, TraceRecord>): void;
  /** Puts what is held back into the file. */
  flush(): void;
  close(): void;
}

const makers: Readonly<Record<string, (path: string) => RunSink>> = {
  '.ndjson': (file) => new NdjsonSink(file),
  '.json': (file) => new ChromeSink(file),
  '.html': (file) => new PageSink(file),
};

/** Opens a file for a run; the end of its name says the form. EINVAL for other names. */
export function openRunSink(file: string): RunSink {
  const make = makers[path.extname(file).toLowerCase()];
  if (make === undefined) {
    throw new BlockError(Errno.EINVAL, `'${file}': a run is kept as .ndjson, .json (for Perfetto) or .html`);
  }
  return make(file);
}

class NdjsonSink implements RunSink {
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

/** Characters of JSON held back. */
const TRACE_BATCH = 256 << 10;

class ChromeSink implements RunSink {
  readonly #trace = new ChromeTrace();
  readonly #file: EndedFile;
  #held: string;

  constructor(path: string) {
    this.#file = new EndedFile(path, () => this.#trace.ending());
    this.#held = this.#trace.beginning;
  }

  record(record: TraceRecord): void {
    this.line(record);
  }

  line(line: RunLine): void {
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

/** A page with more would not open any more in a browser. */
const MAX_PAGE_RECORDS = 500_000;

class PageSink implements RunSink {
  readonly #file: EndedFile;
  readonly #encoder: Encoder;
  #records = 0;
  #dropped = 0;

  constructor(path: string) {
    const file = new EndedFile(path, () => this.#noteOfDropped() + pageEnd);
    this.#file = file;
    this.#encoder = new Encoder((lines) => file.append(lines));
    file.append(Buffer.from(pageStart));
  }

  record(record: TraceRecord): void {
    this.#records += 1;
    if (this.#records > MAX_PAGE_RECORDS) this.#dropped += 1;
    else this.#encoder.record(record);
  }

  line(line: RunLine): void {
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
