/** Which records of the bus a client wants. */
import type { TraceRecord } from '../../block/events/trace.ts';
import type { RequestInFlight } from '../../block/loop/in-flight.ts';

/** Lists of what is wanted; one that is left out asks for all. A record must be in each. */
export interface RecordFilter {
  readonly kinds?: readonly string[];
  /** Of records that name an event; others are left out. */
  readonly events?: readonly string[];
  readonly requests?: readonly number[];
  readonly nodes?: readonly string[];
  /** Kinds of I/O, of `ioTypes`. */
  readonly iotypes?: readonly string[];
}

/** The kinds of I/O that requests have. */
export const ioTypes = ['read', 'write', 'write-zeroes', 'discard', 'flush', 'truncate'] as const;

/** Requests whose kind of I/O is remembered. */
const MAX_REQUESTS = 4096;

/** The records of one client. */
export class Subscription {
  readonly #kinds: ReadonlySet<string> | null;
  readonly #events: ReadonlySet<string> | null;
  readonly #requests: ReadonlySet<number> | null;
  readonly #nodes: ReadonlySet<string> | null;
  readonly #ioTypes: ReadonlySet<string> | null;
  /** The kind of I/O of requests; those that began first come first. */
  readonly #ioTypeOf = new Map<number, string>();

  /** `inFlight` are the requests that have begun already. */
  constructor(filter: RecordFilter, inFlight: readonly RequestInFlight[]) {
    const set = <Value>(values: readonly Value[] | undefined): ReadonlySet<Value> | null =>
      values === undefined ? null : new Set(values);
    this.#kinds = set(filter.kinds);
    this.#events = set(filter.events);
    this.#requests = set(filter.requests);
    this.#nodes = set(filter.nodes);
    this.#ioTypes = set(filter.iotypes);
    for (const { request, operation } of inFlight) this.#ioTypeOf.set(request, ioTypeOf(operation));
  }

  /** Whether a record is wanted; to be asked for each, in their order. */
  wants(record: TraceRecord): boolean {
    if (this.#ioTypes !== null) this.#note(record);
    return (
      isIn(this.#kinds, record.kind) &&
      isIn(this.#requests, record.request) &&
      isIn(this.#nodes, record.node) &&
      (this.#events === null || ('event' in record && this.#events.has(record.event))) &&
      (this.#ioTypes === null || isIn(this.#ioTypes, this.#ioTypeOf.get(record.request) ?? ''))
    );
  }

  /** A request keeps the kind that it had on its first node: what it does on those below is a part of that. */
  #note(record: TraceRecord): void {
    if (record.kind !== 'request-begin' || this.#ioTypeOf.has(record.request)) return;
    this.#ioTypeOf.set(record.request, ioTypeOf(record.operation));
    if (this.#ioTypeOf.size <= MAX_REQUESTS) return;
    for (const oldest of this.#ioTypeOf.keys()) {
      this.#ioTypeOf.delete(oldest);
      break;
    }
  }
}

function isIn<Value>(wanted: ReadonlySet<Value> | null, value: Value): boolean {
  return wanted === null || wanted.has(value);
}

/** "aio_write" and "writev" are writes. */
function ioTypeOf(operation: string): string {
  return operation
    .replace(/^aio_/, '')
    .replace(/^(read|write)v$/, '$1')
    .replaceAll('_', '-');
}
