/** How often each debug event has fired, and the latest of them: cheap enough to be kept of every run. */
import { type DebugEvent, type EventName, eventName, eventNames } from './events.ts';
import type { Coroutine } from '../loop/loop.ts';
import type { ErrorPlace } from '../../util/compact.ts';

/** A consequence of an event. `errno` is positive; `rule` is 0 if a command did it. */
export type EventNote =
  | { readonly kind: 'suspend' | 'resume'; readonly tag: string }
  | ({ readonly kind: 'error'; readonly errno: number; readonly rule: number } & ErrorPlace)
  | { readonly kind: 'state'; readonly from: number; readonly to: number; readonly rule: number }
  | { readonly kind: 'wait'; readonly on: string }
  /** Something that must not happen to an image; the text names the requests. */
  | { readonly kind: 'hazard'; readonly text: string };

/** An event that has fired. */
export interface FiredEvent {
  /** Counts from 1 over all events of the session. */
  readonly number: number;
  readonly event: EventName;
  /** The request's coroutine, 0 outside of one, and what it does. */
  readonly request: number;
  readonly operation: string;
  /** The request that it is a part of; 0 for one that stands by itself. */
  readonly parent: number;
  /** The node's name as a user knows it. */
  readonly node: string;
  /** It fired on a node that may have rules for it. */
  readonly onDebugNode: boolean;
  /** Its consequences, in order. */
  readonly notes: readonly EventNote[];
}

/** The hazards of a session. */
export interface HazardCount {
  readonly count: number;
  /** The latest: the number of the event that led to it, and its text. */
  readonly number: number;
  readonly text: string;
}

/** How many events are remembered; a power of two. */
export const CAPACITY = 1024;

/** Of a session with many hazards the first ones tell the most. */
const FIRST_HAZARDS = 16;

/**
 * An event as it is kept. The rooms of the ring are written anew each time round, so that nothing is allocated for an
 * event.
 */
interface Kept {
  event: DebugEvent;
  request: number;
  operation: string;
  parent: number;
  node: string;
  onDebugNode: boolean;
}

/** Counts by event number; doubles, which do not overflow. */
export interface EventCounts {
  readonly onDebugNodes: Readonly<Float64Array>;
  readonly elsewhere: Readonly<Float64Array>;
}

/** Counts and latest events of one bus. Noting one is a few stores; texts are made when they are read. */
export class EventHistory {
  readonly #onDebugNodes = new Float64Array(eventNames.length);
  readonly #elsewhere = new Float64Array(eventNames.length);
  /** Filled by the first events. */
  readonly #ring: Kept[] = [];
  /** By event number; few events lead to anything. */
  readonly #notes = new Map<number, EventNote[]>();
  #total = 0;
  #stateChangedAt = 0;
  #hazards: HazardCount | null = null;
  /** The texts of the first ones. */
  readonly firstHazards: string[] = [];
  /** Called at the next change; null if none is to be. */
  #sleepers: Set<() => void> | null = null;

  /** How many events have fired, which is the number of the latest. */
  get total(): number {
    return this.#total;
  }

  /** Forgets all: the session begins anew. */
  restart(): void {
    this.#onDebugNodes.fill(0);
    this.#elsewhere.fill(0);
    this.#ring.length = 0;
    this.#notes.clear();
    this.#total = 0;
    this.#stateChangedAt = 0;
    this.#hazards = null;
    this.firstHazards.length = 0;
    this.notify();
  }

  /** Number of the event that changed the state of rules last; 0 if none did. */
  get stateChangedAt(): number {
    return this.#stateChangedAt;
  }

  /** Null if there was none. */
  get hazards(): HazardCount | null {
    return this.#hazards;
  }

  /**
   * Calls back once, when something is added: a view of the history need not follow each event. It is called within a
   * request, so it may do no more than set a timer. The function returned takes the call back.
   */
  atNextChange(callback: () => void): () => void {
    this.#sleepers ??= new Set();
    const sleepers = this.#sleepers.add(callback);
    return () => sleepers.delete(callback);
  }

  /** How often each event has fired so far; the arrays go on counting. */
  get counts(): EventCounts {
    return { onDebugNodes: this.#onDebugNodes, elsewhere: this.#elsewhere };
  }

  /** Notes an event. On the way of every request. */
  add(event: DebugEvent, coroutine: Coroutine | null, node: string, onDebugNode: boolean): void {
    const total = this.#total;
    this.#total = total + 1;
    const request = coroutine === null ? 0 : coroutine.id;
    const operation = coroutine === null ? '' : coroutine.operation;
    const parent = coroutine === null || coroutine.parent === null ? 0 : coroutine.parent.id;
    const kept = this.#ring[total & (CAPACITY - 1)];
    if (kept === undefined) {
      this.#ring.push({ event, request, operation, parent, node, onDebugNode });
    } else {
      kept.event = event;
      kept.request = request;
      kept.operation = operation;
      kept.parent = parent;
      kept.node = node;
      kept.onDebugNode = onDebugNode;
    }
    const counts = onDebugNode ? this.#onDebugNodes : this.#elsewhere;
    (counts[event] as number) += 1;
    if (this.#sleepers !== null) this.#wake();
  }

  /** Says what the latest event of a request led to; any node's event for a wait, else that of a node with rules. */
  annotate(request: number, note: EventNote): void {
    for (let number = this.#total; number > Math.max(0, this.#total - CAPACITY); number -= 1) {
      const kept = this.#ring[(number - 1) & (CAPACITY - 1)];
      if (kept?.request !== request || (!kept.onDebugNode && note.kind !== 'wait')) continue;
      this.#note(number, note);
      if (note.kind === 'state') this.#stateChangedAt = number;
      break;
    }
    if (this.#notes.size > 2 * CAPACITY) this.#forgetNotes();
    if (this.#sleepers !== null) this.#wake();
  }

  /**
   * Notes a hazard at the latest event of the request that meets it, else of the other request, else of any: on a node
   * with rules.
   */
  addHazard(request: number, other: number, text: string): void {
    const number = this.#latestOf(request) || this.#latestOf(other) || this.#total;
    if (number > 0) this.#note(number, { kind: 'hazard', text });
    this.#hazards = { count: (this.#hazards?.count ?? 0) + 1, number, text };
    if (this.firstHazards.length < FIRST_HAZARDS) this.firstHazards.push(text);
    if (this.#sleepers !== null) this.#wake();
  }

  /** The number of the latest event of a request or of a part of it; 0 for none. */
  #latestOf(request: number): number {
    if (request === 0) return 0;
    for (let number = this.#total; number > Math.max(0, this.#total - CAPACITY); number -= 1) {
      const kept = this.#ring[(number - 1) & (CAPACITY - 1)];
      if (kept?.onDebugNode === true && (kept.request === request || kept.parent === request)) return number;
    }
    return 0;
  }

  #note(number: number, note: EventNote): void {
    const notes = this.#notes.get(number);
    if (notes === undefined) this.#notes.set(number, [note]);
    else notes.push(note);
  }

  /** The events that are remembered, newest first. */
  *newestFirst(): Generator<FiredEvent> {
    for (let number = this.#total; number > Math.max(0, this.#total - CAPACITY); number -= 1) {
      const kept = this.#ring[(number - 1) & (CAPACITY - 1)];
      if (kept === undefined) break;
      const { event, request, operation, parent, node, onDebugNode } = kept;
      const notes = this.#notes.get(number) ?? [];
      yield { number, event: eventName(event), request, operation, parent, node, onDebugNode, notes };
    }
  }

  /** Something has changed that is no event (rules, the image): calls back as an event does. */
  notify(): void {
    if (this.#sleepers !== null) this.#wake();
  }

  #wake(): void {
    const sleepers = this.#sleepers ?? [];
    this.#sleepers = null;
    for (const callback of sleepers) callback();
  }

  #forgetNotes(): void {
    for (const number of this.#notes.keys()) if (number <= this.#total - CAPACITY) this.#notes.delete(number);
  }
}
