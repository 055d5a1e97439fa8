/** The model of the panel: the latest events with their consequences, and the current snapshot. */
import { partName } from '../../util/compact.ts';
import type { EventHistory, EventNote, FiredEvent, HazardCount } from '../../block/events/history.ts';
import type { Snapshot } from '../snapshot.ts';
import type { EventsLine, RecordingLine } from '../record/schema.ts';

/** One row of the list of events. */
export interface EventRow {
  /** Counts the events of a session, as the command `events` does. */
  readonly number: number;
  readonly event: string;
  /** "w4"; empty outside of requests. */
  readonly who: string;
  readonly notes: readonly EventNote[];
}

/** Over how long the rate of events is measured, and how often a total is noted for it. */
const RATE_WINDOW_NS = 3e9;
const RATE_SAMPLE_NS = 250e6;
/** More rows than a terminal has. */
const MAX_ROWS = 200;

/**
 * The latest events of a history. Where there are rules, their node's events are what counts; the same event on other
 * nodes is a repetition, unless it led to something. At most `limit` of those that `accepts` lets pass.
 */
export function latestEvents(
  history: EventHistory,
  snapshot: Snapshot,
  limit = MAX_ROWS,
  accepts: (fired: FiredEvent) => boolean = () => true,
): EventsLine {
  const latest: FiredEvent[] = [];
  for (const fired of history.newestFirst()) {
    if (latest.length >= limit) break;
    const counts = snapshot.debugNode === null || fired.onDebugNode || fired.notes.length > 0;
    if (counts && accepts(fired)) latest.push(fired);
  }
  const { stateChangedAt, hazards } = history;
  return { kind: 'events', stateChangedAt, ...(hazards === null ? {} : { hazards }), latest };
}

/** The knowledge of one session. */
export class LiveModel {
  snapshot: Snapshot | null = null;
  /** Number of the event that changed the state last; 0 if none did. */
  stateChangedAt = 0;
  /** Null as long as there was none. */
  hazards: HazardCount | null = null;
  /** Records that did not arrive. */
  dropped = 0;
  /** The longest name of an event that was shown so far: the column does not become narrower again. */
  eventWidth = 0;
  /** How many events there were in all, and how many a second in the last seconds. */
  total = 0;
  perSecond = 0;
  /** Totals of the last seconds, oldest first. */
  #samples: { readonly timeNs: number; readonly total: number }[] = [];
  #latest: readonly FiredEvent[] = [];

  /** Takes a line of the stream. */
  take(line: RecordingLine): void {
    if (line.kind === 'snapshot') {
      this.snapshot = line;
    } else if (line.kind === 'events') {
      this.stateChangedAt = line.stateChangedAt;
      this.hazards = line.hazards ?? null;
      this.#latest = line.latest;
      this.total = Math.max(this.total, line.latest[0]?.number ?? 0);
      for (const { event } of line.latest) this.eventWidth = Math.max(this.eventWidth, event.length);
    } else if (line.kind === 'note') {
      this.dropped += line.dropped;
    }
  }

  /** Counts the events of the last seconds; called before each drawing with the time in the clock of the session. */
  measureRate(nowNs: number): void {
    const recent = this.#samples.filter(({ timeNs }) => nowNs - timeNs <= RATE_WINDOW_NS);
    const [first = { timeNs: nowNs, total: this.total }] = recent;
    // Over less than a second it would jump; the first events of a session are none of a rate.
    const spanNs = Math.max(1e9, nowNs - first.timeNs);
    this.perSecond = ((this.total - first.total) * 1e9) / spanNs;
    if (nowNs - (recent.at(-1)?.timeNs ?? 0) >= RATE_SAMPLE_NS) recent.push({ timeNs: nowNs, total: this.total });
    this.#samples = recent;
  }

  /** The latest events, newest first, at most `limit`; from the one of the number `newest` on, if that is given. */
  latest(limit: number, newest: number | null = null): EventRow[] {
    const start = newest === null ? 0 : this.#latest.findIndex(({ number }) => number <= newest);
    const first = start < 0 ? this.#latest.length : start;
    return this.#latest.slice(first, first + limit).map(({ number, event, request, operation, parent, notes }) => {
      return { number, event, who: request === 0 ? '' : partName(operation, request, parent), notes };
    });
  }
}
