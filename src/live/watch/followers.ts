/** Everything that clients of a session follow: records as they come, snapshots and the latest events now and then. */
import type { TraceBus, TraceRecord } from '../../block/events/trace.ts';
import type { ControlClient } from '../control/control-client.ts';
import { notificationLine } from '../control/messages.ts';
import { latestEvents } from '../panel/model.ts';
import { encodeLine } from '../record/encoder.ts';
import type { EventsLine, RecordingLine } from '../record/schema.ts';
import type { Snapshot } from '../snapshot.ts';
import { Broadcast } from './broadcast.ts';

/** The session that is followed. */
interface FollowedSession {
  readonly bus: TraceBus;
  readonly nowNs: () => number;
  readonly snapshot: () => Snapshot;
}

/** Records are sent in batches. */
const BATCH_MS = 50;
/** Snapshots are sent at most so often. */
const SNAPSHOT_MS = 100;

/** The clients of one session by what they follow. Without clients the bus and its history are left alone. */
export class Followers {
  /** Clients that say nothing: they get every record. And those that asked for the latest events by `WANT_LATEST`. */
  readonly records: Broadcast;
  readonly latest: Broadcast;
  /** Clients that call methods. */
  readonly clients = new Set<ControlClient>();
  readonly #session: FollowedSession;
  #unsubscribe: (() => void) | null = null;
  /** Takes back that the history calls back. */
  #unfollowHistory: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #recordCount = 0;
  #snapshotMs = 0;
  #wantsSnapshot = false;
  #wantsEvents = false;

  constructor(session: FollowedSession) {
    this.#session = session;
    this.records = new Broadcast(session.snapshot);
    this.latest = new Broadcast(session.snapshot);
  }

  /**
   * Subscribes to what clients want. Without a client that wants records, none is even built. One that has just asked
   * for the latest events gets those of before at once.
   */
  follow(subscribed?: ControlClient): void {
    const { bus } = this.#session;
    const clients = [...this.clients];
    if (this.records.size === 0 && !clients.some((client) => client.follows('records'))) {
      this.#unsubscribe?.();
      this.#unsubscribe = null;
    } else {
      this.#unsubscribe ??= bus.subscribe((record) => {
        this.#recordCount += 1;
        this.#wantsSnapshot = true;
        if (this.records.size > 0) this.records.record(record);
        let line: string | null = null;
        const makeLine = (): string => (line ??= recordLine(record));
        for (const client of this.clients) client.record(record, makeLine);
        this.#sendSoon();
      });
    }
    this.#unfollowHistory?.();
    const follows = clients.some((client) => client.follows('events') || client.follows('snapshots'));
    this.#unfollowHistory =
      this.latest.size > 0 || follows ? bus.history.atNextChange(() => this.eventsChanged()) : null;
    if (this.#unsubscribe === null && this.#unfollowHistory === null) this.#stopTimer();
    if (subscribed?.follows('events') !== true) return;
    const events = latestEvents(bus.history, this.#session.snapshot());
    if (events.latest.length > 0) subscribed.take('events', eventsLine(events));
  }

  /** The latest events, or rules or the image, are to be sent. */
  eventsChanged(): void {
    this.#wantsEvents = true;
    this.#wantsSnapshot = true;
    this.#sendSoon();
  }

  /** Sends the end to all clients. */
  dismiss(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#unfollowHistory?.();
    this.#unfollowHistory = null;
    this.#stopTimer();
    this.records.flush();
    this.latest.flush();
    const { bus, nowNs } = this.#session;
    const snapshot = this.#session.snapshot();
    const end = { timeNs: Math.round(nowNs()), records: this.#recordCount };
    const lastLines = encodeLine({ kind: 'snapshot', ...snapshot }) + encodeLine({ kind: 'end', ...end });
    const events = latestEvents(bus.history, snapshot);
    this.records.dismiss(lastLines);
    this.latest.dismiss(encodeLine(events) + lastLines);
    const endLine = notificationLine('session-end', end);
    for (const client of this.clients)
      client.dismiss(notificationLine('snapshot', snapshot), eventsLine(events), endLine);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #sendSoon(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#send();
    }, BATCH_MS);
    this.#timer.unref();
  }

  #send(): void {
    const snapshot = this.#session.snapshot();
    if (this.#wantsEvents) {
      this.#wantsEvents = false;
      const events = latestEvents(this.#session.bus.history, snapshot);
      if (this.latest.size > 0) this.latest.line(events);
      this.#toClients('events', () => eventsLine(events));
      this.follow();
    }
    if (this.#wantsSnapshot) this.#sendSnapshot(snapshot);
    this.records.flush();
    this.latest.flush();
    for (const client of this.clients) client.flush();
  }

  #sendSnapshot(snapshot: Snapshot): void {
    const nowMs = performance.now();
    if (nowMs - this.#snapshotMs < SNAPSHOT_MS) {
      this.#sendSoon();
      return;
    }
    this.#snapshotMs = nowMs;
    this.#wantsSnapshot = false;
    const line: RecordingLine = { kind: 'snapshot', ...snapshot };
    for (const broadcast of [this.records, this.latest]) if (broadcast.size > 0) broadcast.line(line);
    this.#toClients('snapshots', () => notificationLine('snapshot', snapshot));
  }

  #toClients(stream: 'events' | 'snapshots', makeLine: () => string): void {
    const clients = [...this.clients].filter((client) => client.follows(stream));
    if (clients.length === 0) return;
    const line = makeLine();
    for (const client of clients) client.take(stream, line);
  }
}

/** The notification of a record. */
function recordLine(record: TraceRecord): string {
  const line = encodeLine({ ...record, timeNs: Math.round(record.timeNs) });
  return `{"jsonrpc":"2.0","method":"record","params":${line.trimEnd()}}\n`;
}

/** The notification of the latest events. */
function eventsLine({ stateChangedAt, latest }: EventsLine): string {
  return notificationLine('events', { stateChangedAt, latest });
}
