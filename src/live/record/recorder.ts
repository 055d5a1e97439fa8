/** Records a session to a file while it runs. */
import { BlockError } from '../../block/error.ts';
import type { TraceBus, TraceRecord } from '../../block/events/trace.ts';
import { openSink } from './sinks.ts';
import type { Snapshot } from '../snapshot.ts';
import { SCHEMA_VERSION } from './schema.ts';
import type { Objection, RecordingSink } from './recording-file.ts';

/** The source of a recording. */
export interface RecorderOptions {
  readonly bus: TraceBus;
  /** Now, in the bus's clock. */
  readonly nowNs: () => number;
  /** Takes a snapshot; it goes into the file at the beginning and at the end. */
  readonly snapshot: () => Snapshot;
  /** Name and version of the program, and the words of its command line, for the reader. */
  readonly program: string;
  readonly command: readonly string[];
  /** The width of the session's terminal, in characters; null if it prints to none. */
  readonly columns?: number | null;
  /** Why a file must not be replaced: the image is in it. */
  readonly objection: Objection;
  /** Told once if the file cannot be written any more. The recording has ended then; the session goes on. */
  readonly onError: (error: BlockError) => void;
}

/** Buffered lines reach the file at the latest after this. */
const FLUSH_MS = 250;
/** Records are encoded in batches, by code that is then in the processor's caches. */
const BATCH_RECORDS = 256;

/** The recording of one session, in any of the forms. */
export class Recorder {
  readonly path: string;
  readonly #options: RecorderOptions;
  /** Null once the recording has ended. */
  #sink: RecordingSink | null;
  #unsubscribe: () => void = () => {};
  #timer: NodeJS.Timeout | null = null;
  #records = 0;
  #held: TraceRecord[] = [];
  #wantsSnapshot = false;

  /**
   * Begins a recording; the extension of `path` chooses the form (`.ndjson`, `.json`, `.html`). A recording of that
   * name is replaced. EINVAL for another extension, EEXIST for a file that must not be replaced, the host's errno if it
   * cannot be made.
   */
  static async open(path: string, options: RecorderOptions): Promise<Recorder> {
    const sink = await openSink(path, options.objection);
    try {
      return new Recorder(path, sink, options);
    } catch (error) {
      closeQuietly(sink);
      throw error;
    }
  }

  private constructor(path: string, sink: RecordingSink, options: RecorderOptions) {
    this.path = path;
    this.#options = options;
    this.#sink = sink;
    this.#begin(sink);
    this.#unsubscribe = options.bus.subscribe((record) => this.#record(record));
  }

  #begin(sink: RecordingSink): void {
    const { program, command, nowNs, snapshot, columns = null } = this.#options;
    sink.line({
      kind: 'header',
      schema: SCHEMA_VERSION,
      program,
      startedAt: new Date().toISOString(),
      startedNs: Math.round(nowNs()),
      command,
      ...(columns === null ? {} : { columns }),
    });
    sink.line({ kind: 'snapshot', ...snapshot() });
    sink.flush();
  }

  /** False after `close`, and after the file could not be written. */
  get isRecording(): boolean {
    return this.#sink !== null;
  }

  /** How many records of the bus were recorded. */
  get recordCount(): number {
    return this.#records + this.#held.length;
  }

  #takeSnapshot(): void {
    this.#wantsSnapshot = false;
    this.#attempt((sink) => sink.line({ kind: 'snapshot', ...this.#options.snapshot() }));
  }

  /** Ends the recording. Synchronous, so that it can be called on the way out. */
  close(): void {
    this.#attempt((sink) => {
      sink.line({ kind: 'snapshot', ...this.#options.snapshot() });
      sink.line({ kind: 'end', timeNs: Math.round(this.#options.nowNs()), records: this.#records });
    });
    this.#end((sink) => sink.close());
  }

  #record(record: TraceRecord): void {
    this.#held.push(record);
    // The last moment at which the nodes, rules and requests of the image can be seen.
    if (record.kind === 'image-closing') this.#takeSnapshot();
    else if (changesSnapshot(record)) this.#wantsSnapshot = true;
    if (this.#held.length === BATCH_RECORDS) this.#attempt();
    if (this.#timer === null) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#timer !== null || this.#sink === null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#wantsSnapshot) this.#takeSnapshot();
      this.#attempt((sink) => sink.flush());
    }, FLUSH_MS);
    this.#timer.unref();
  }

  /** Writes the buffered records to the sink, and then does `action`. */
  #attempt(action?: (sink: RecordingSink) => void): void {
    if (this.#sink === null) return;
    const held = this.#held;
    this.#held = [];
    try {
      // By index: an iterator is not compiled away before many batches have gone through it.
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

  #end(close: (sink: RecordingSink) => void): void {
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

/** Whether rules or the image have changed: a snapshot of that follows, soon. */
function changesSnapshot({ kind }: TraceRecord): boolean {
  return kind.startsWith('image-') || (kind.startsWith('rule-') && kind.endsWith('ed'));
}

/** For a file that could not be written a moment ago, which `onError` was told. */
function closeQuietly(sink: RecordingSink): void {
  try {
    sink.close();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
