/** What a run is written to, whatever its form. */
import type { TraceRecord } from '../../block/events/trace.ts';
import type { RunLine } from './schema.ts';

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
