/** Keeps a run in a file while it happens. */
import { BlockError } from '../../block/error.ts';
import type { TraceBus, TraceRecord } from '../../block/events/trace.ts';
import { openRunSink } from './open-sink.ts';
import type { Picture } from '../snapshot.ts';
import { SCHEMA_VERSION } from './schema.ts';
import type { RunSink } from './sink.ts';

/** What is kept. */
export interface RecorderOptions {
  readonly bus: TraceBus;
  /** Now, in the bus's clock. */
  readonly nowNs: () => number;
  /** The current picture; it goes into the file at the beginning and at the end. */
  readonly picture: () => Picture;
  /** Name and version of the program, and the words of its command line, for the reader. */
  readonly program: string;
  readonly command: readonly string[];
  /** Told once if the file cannot be written any more. The recording has ended then; the run goes on. */
  readonly onError: (error: BlockError) => void;
}

/** What is held back reaches the file at the latest after this. */
const FLUSH_MS = 250;
/** So many records are written down together: by code that is still in the processor's caches, 6 % of a run's time less. */
const BATCH_RECORDS = 256;
/** Pictures are at least so far apart, but for those that somebody insists on. */
const PICTURE_NS = 100e6;

/** The recording of one run, into whichever kind of file. */
export class Recorder {
  readonly path: string;
  readonly #options: RecorderOptions;
  /** Null once the recording has ended. */
  #sink: RunSink | null;
  #unsubscribe: () => void = () => {};
  #timer: NodeJS.Timeout | null = null;
  #records = 0;
  #held: TraceRecord[] = [];
  #wantsPicture = false;
  #picturedNs = Number.NEGATIVE_INFINITY;

  /**
   * Begins a recording; the end of `path` says the form (`.ndjson`, `.json`, `.html`). A file of that name is replaced.
   * EINVAL for another ending, the host's errno if the file cannot be made.
   */
  static async open(path: string, options: RecorderOptions): Promise<Recorder> {
    const sink = await openRunSink(path);
    try {
      return new Recorder(path, sink, options);
    } catch (error) {
      closeQuietly(sink);
      throw error;
    }
  }

  private constructor(path: string, sink: RunSink, options: RecorderOptions) {
    this.path = path;
    this.#options = options;
    this.#sink = sink;
    this.#begin(sink);
    this.#unsubscribe = options.bus.subscribe((record) => this.#record(record));
  }

  #begin(sink: RunSink): void {
    const { program, command, nowNs, picture } = this.#options;
    sink.line({
      kind: 'header',
      schema: SCHEMA_VERSION,
      program,
      startedAt: new Date().toISOString(),
      startedNs: Math.round(nowNs()),
      command,
    });
    sink.line({ kind: 'picture', ...picture() });
    sink.flush();
  }

  /** False after `close`, and after the file could not be written. */
  get isRecording(): boolean {
    return this.#sink !== null;
  }

  /** How many records of the bus were kept. */
  get recordCount(): number {
    return this.#records + this.#held.length;
  }

  /** Something has changed that the bus does not tell: the current picture goes into the file, though not too often. */
  pictureChanged(): void {
    if (this.#options.nowNs() - this.#picturedNs >= PICTURE_NS) this.takePicture();
    else this.#wantsPicture = true;
    this.#flushSoon();
  }

  /** Puts the current picture into the file. */
  takePicture(): void {
    this.#wantsPicture = false;
    this.#picturedNs = this.#options.nowNs();
    this.#attempt((sink) => sink.line({ kind: 'picture', ...this.#options.picture() }));
    this.#flushSoon();
  }

  /** Ends the recording. Synchronous, so that it can be called on the way out. */
  close(): void {
    this.#attempt((sink) => {
      sink.line({ kind: 'picture', ...this.#options.picture() });
      sink.line({ kind: 'end', timeNs: Math.round(this.#options.nowNs()), records: this.#records });
    });
    this.#end((sink) => sink.close());
  }

  #record(record: TraceRecord): void {
    this.#held.push(record);
    if (this.#held.length === BATCH_RECORDS) this.#attempt();
    if (this.#timer === null) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#timer !== null || this.#sink === null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#wantsPicture) this.takePicture();
      this.#attempt((sink) => sink.flush());
    }, FLUSH_MS);
    this.#timer.unref();
  }

  /** Hands the records that are held to the sink, and then does what else there is to do. */
  #attempt(action?: (sink: RunSink) => void): void {
    if (this.#sink === null) return;
    const held = this.#held;
    this.#held = [];
    try {
      // By index: a run is half over before V8 has compiled an iterator away.
      for (let index = 0; index < held.length; index++) this.#sink.record(held[index] as TraceRecord);
      this.#records += held.length;
      action?.(this.#sink);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (!(error instanceof BlockError)) throw error;
    this.#end(closeQuietly);
    this.#options.onError(error);
  }

  #end(close: (sink: RunSink) => void): void {
    const sink = this.#sink;
    if (sink === null) return;
    this.#sink = null;
    this.#unsubscribe();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    try {
      close(sink);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      this.#options.onError(error);
    }
  }
}

/** For a file that could not be written a moment ago, which was told: that it cannot be written now is no news. */
function closeQuietly(sink: RunSink): void {
  try {
    sink.close();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
