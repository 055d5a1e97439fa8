/** What the views show: the latest events with what they led to, and the current picture. Fed by records and pictures. */
import type { TraceRecord } from '../block/trace.ts';
import type { Picture } from './picture.ts';
import { isRecord, type RunLine } from './record-schema.ts';
import { errnoText, operationLetter } from './text.ts';

/** Something that an event led to, or that happened to a request. */
export interface Mark {
  readonly kind: 'suspend' | 'error' | 'state' | 'wait' | 'resume';
  readonly text: string;
}

/** One line of the list of events. */
export interface EventRow {
  readonly sequence: number;
  readonly timeNs: number;
  readonly request: number;
  /** "w4". */
  readonly who: string;
  /** The event's name; empty for what happened without one. */
  readonly event: string;
  readonly node: string;
  readonly marks: Mark[];
}

interface Traced {
  readonly who: string;
  /** Requests within this one that have begun and not ended. */
  depth: number;
  /** Where marks go: its latest event that is shown. */
  row: EventRow | null;
}

/** How many events are remembered. */
const CAPACITY = 256;
/** Requests that were seen; the oldest are forgotten, should ends be missing. */
const MAX_TRACED = 4096;

export class LiveModel {
  picture: Picture | null = null;
  /** Sequence number of the latest change of the state that was seen; null if none was. */
  stateChangedAt: number | null = null;
  /** Records that did not arrive. */
  dropped = 0;
  /** Goes up with everything that may change a view. */
  version = 0;
  readonly #rows: (EventRow | undefined)[] = Array.from({ length: CAPACITY });
  #next = 0;
  readonly #traced = new Map<number, Traced>();

  /** Takes a line of the stream. */
  take(line: RunLine): void {
    if (isRecord(line)) this.takeRecord(line);
    else if (line.kind === 'picture') this.takePicture(line);
    else if (line.kind === 'note') {
      this.dropped += line.dropped;
      this.version += 1;
    }
  }

  takePicture(picture: Picture): void {
    this.picture = picture;
    this.version += 1;
  }

  takeRecord(record: TraceRecord): void {
    this.version += 1;
    const { request } = record;
    switch (record.kind) {
      case 'event':
        this.#event(record, record.event);
        break;
      case 'request-begin':
        this.#tracedOf(request, record.operation).depth += 1;
        break;
      case 'request-end': {
        const traced = this.#traced.get(request);
        if (traced === undefined) break;
        traced.depth -= 1;
        if (traced.depth <= 0) this.#traced.delete(request);
        break;
      }
      case 'suspend':
        this.#mark(record, record.event, { kind: 'suspend', text: record.tag });
        break;
      case 'resume':
        this.#event(record, '').marks.push({ kind: 'resume', text: `resume ${record.tag}` });
        break;
      case 'error-injected':
        this.#mark(record, '', { kind: 'error', text: errnoText(record.errno) });
        break;
      case 'state-change':
        this.stateChangedAt = record.sequence;
        this.#mark(record, '', { kind: 'state', text: `${record.from}\u2192${record.to}` });
        break;
      case 'lock-wait':
        this.#event(record, '').marks.push({ kind: 'wait', text: `waits for ${record.on}` });
        break;
      case 'rule-hit':
      case 'rule-skip':
        break;
    }
  }

  /** The latest events, newest first, at most `limit`. */
  latest(limit: number): EventRow[] {
    const rows: EventRow[] = [];
    const oldest = Math.max(0, this.#next - CAPACITY);
    for (let at = this.#next - 1; at >= oldest && rows.length < limit; at -= 1) {
      const row = this.#rows[at % CAPACITY];
      if (row !== undefined && this.#isShown(row)) rows.push(row);
    }
    return rows;
  }

  /** Where there are rules, their node's events are what counts; the same event on other nodes is a repetition. */
  #isShown(row: EventRow): boolean {
    const debugNode = this.picture?.debugNode ?? null;
    return debugNode === null || row.node === debugNode || row.event === '' || row.marks.length > 0;
  }

  #event(record: TraceRecord, event: string): EventRow {
    const { sequence, timeNs, request, node } = record;
    const traced = this.#traced.get(request);
    const who = traced?.who ?? (request === 0 ? '' : `#${request}`);
    const row: EventRow = { sequence, timeNs, request, who, event, node, marks: [] };
    this.#rows[this.#next % CAPACITY] = row;
    this.#next += 1;
    if (traced !== undefined && this.#isShown(row)) traced.row = row;
    return row;
  }

  /** Puts a mark at the latest event of the request, if that is on the same node; else on a line of its own. */
  #mark(record: TraceRecord, event: string, mark: Mark): void {
    const row = this.#traced.get(record.request)?.row ?? null;
    const belongs = row !== null && row.node === record.node && (event === '' || row.event === event);
    (belongs ? row : this.#event(record, event)).marks.push(mark);
  }

  #tracedOf(request: number, operation: string): Traced {
    const known = this.#traced.get(request);
    if (known !== undefined) return known;
    const traced: Traced = { who: request === 0 ? '' : `${operationLetter(operation)}${request}`, depth: 0, row: null };
    this.#traced.set(request, traced);
    if (this.#traced.size > MAX_TRACED) {
      const [oldest] = this.#traced.keys();
      if (oldest !== undefined) this.#traced.delete(oldest);
    }
    return traced;
  }
}
