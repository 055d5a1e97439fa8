/**
 * Requests in flight on a node, and which of them wait for which.
 *
 * A request that reads what it then writes back (read-modify-write at the edges, copy on read) must not have another
 * write in the range in between. It marks itself as serialising over that range, widened to an alignment; each request
 * that overlaps a serialising one waits for it:
 *
 *     A  write 1k@512  serialising, widened to 4k@0   ---- reads 4k ---- writes 4k ---- ends
 *     B  write 512@3k  overlaps A's widened range     waits .............................. goes on
 *
 * Two that would wait for each other do not: a request that itself waits is passed over.
 */
import type { BlockNode } from '../graph/node.ts';
import type { Coroutine } from '../loop/loop.ts';
import { RangeIndex, type RangeQuery } from './range-index.ts';
import { traceWait } from './traced.ts';
import { type Conflicts, Waiters, type WaitingBounds } from './waiters.ts';
import { alignDown, alignUp } from '../../util/align.ts';
import { assert } from '../../util/assert.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';

/** The effect of a request in flight on its range. */
export type TrackedKind = 'read' | 'write' | 'discard' | 'truncate';

/** A request in flight: its range in bytes, and the wider one that it keeps others out of. */
export class TrackedRequest {
  readonly kind: TrackedKind;
  readonly offset: number;
  readonly bytes: number;
  readonly coroutine: Coroutine | null;
  /** Counts up with age. */
  readonly order: number;
  isSerialising: boolean;
  /** The range that others must keep out of; wider than the request's own once it serialises. */
  overlapOffset: number;
  overlapBytes: number;
  /** The requests that wait for this one; null if none does. */
  waiters: Waiters | null;
  /** It waits for another one; no other request has to wait for it meanwhile. */
  waits: boolean;
  /** Neighbours among the requests of the tracker. */
  newer: TrackedRequest | null;
  older: TrackedRequest | null;

  constructor(
    kind: TrackedKind,
    offset: number,
    bytes: number,
    coroutine: Coroutine | null,
    order: number,
    older: TrackedRequest | null,
  ) {
    this.kind = kind;
    this.offset = offset;
    this.bytes = bytes;
    this.coroutine = coroutine;
    this.order = order;
    this.isSerialising = false;
    this.overlapOffset = offset;
    this.overlapBytes = bytes;
    this.waiters = null;
    this.waits = false;
    this.newer = null;
    this.older = older;
  }
}

/** Up to so many requests are looked at one by one. */
const FEW = 8;

/** A node's requests in flight, newest first, and the waiting for those that overlap. */
export class RequestTracker {
  readonly #node: BlockNode;
  #newest: TrackedRequest | null = null;
  #size = 0;
  /** Those that do not wait, by their ranges; null until one of many looks for those that it overlaps. */
  #index: RangeIndex | null = null;
  #serialisingCount = 0;
  #nextOrder = 0;
  readonly #conflicts: Conflicts = {
    find: (request) => this.#findConflict(request),
    blocksAll: (blocker, bounds) => this.#blocksAll(blocker, bounds),
    resume: (request) => this.#resume(request),
  };

  constructor(node: BlockNode) {
    this.#node = node;
  }

  /**
   * Notes a request of `coroutine` (the running one) that begins, also as in flight on the node. It must be ended,
   * whatever happens.
   */
  begin(kind: TrackedKind, offset: number, bytes: number, coroutine = this.#node.loop.current): TrackedRequest {
    this.#node.inFlight += 1;
    const request = new TrackedRequest(kind, offset, bytes, coroutine, this.#nextOrder++, this.#newest);
    if (this.#newest !== null) this.#newest.newer = request;
    this.#newest = request;
    this.#size += 1;
    this.#index?.add(request);
    if (this.#node.loop.witness !== null) this.#tell(request);
    return request;
  }

  /** Ends a request that `begin` noted, and wakes those that wait for it. */
  end(request: TrackedRequest): void {
    this.#node.inFlight -= 1;
    if (this.#node.loop.witness !== null) this.#tell(request);
    if (request.isSerialising) this.#serialisingCount -= 1;
    if (request.newer === null) this.#newest = request.older;
    else request.newer.older = request.older;
    if (request.older !== null) request.older.newer = request.newer;
    request.newer = null;
    request.older = null;
    this.#size -= 1;
    if (this.#size === 0) this.#index = null;
    else this.#index?.delete(request);
    if (request.waiters !== null) this.#node.loop.wakeEach(request.waiters);
  }

  /** The newest request in flight, with the others behind it; null if there is none. */
  get newest(): TrackedRequest | null {
    return this.#newest;
  }

  /**
   * One that makes its file longer keeps others out up to the end of the node, but touches its own range alone: those
   * behind it wait, and come to the same in either order.
   */
  #tell({ offset, bytes, overlapOffset, overlapBytes, isSerialising }: TrackedRequest): void {
    const { loop, nodeName } = this.#node;
    const end = overlapOffset + overlapBytes;
    const touchedEnd = end === Number.MAX_SAFE_INTEGER ? offset + bytes : end;
    loop.witness?.uses(`requests of ${nodeName}`, overlapOffset, touchedEnd - overlapOffset, isSerialising);
  }

  /** A request has waited, and counts again. */
  #resume(request: TrackedRequest): void {
    request.waits = false;
    this.#index?.add(request);
  }

  /** Waits for the serialising requests that overlap this one. */
  waitForSerialising(self: TrackedRequest): Pending {
    return this.#serialisingCount > 0 ? this.#waitForConflicts(self) : undefined;
  }

  /** Makes a request serialising over its range widened to `align`, and waits for all that overlap it. */
  makeSerialising(request: TrackedRequest, align: number): Pending {
    this.#widen(request, align);
    return this.#waitForConflicts(request);
  }

  /** Makes a request serialising over its range widened to `align`; false if another one overlaps it. */
  tryMakeSerialising(request: TrackedRequest, align: number): boolean {
    this.#widen(request, align);
    return this.#findConflict(request) === null;
  }

  /**
   * Makes the newest request of the running coroutine serialising from `offset` to beyond the end of every node, and
   * waits for all that overlap it: for a driver that makes its file longer.
   */
  serialiseToEnd(offset: number): Pending {
    const { current } = this.#node.loop;
    let own = this.#newest;
    while (own !== null && (own.coroutine !== current || own.offset > offset)) own = own.older;
    if (own === null) return undefined;
    this.#widen(own, this.#node.limits.requestAlignment, Number.MAX_SAFE_INTEGER);
    return this.#waitForConflicts(own);
  }

  /** Makes a request serialising over its range widened to `align`, and at least up to `leastEnd`. */
  #widen(request: TrackedRequest, align: number, leastEnd = 0): void {
    this.#index?.delete(request);
    const offset = alignDown(request.offset, align);
    const bytes = Math.max(alignUp(request.offset + request.bytes, align), leastEnd) - offset;
    if (!request.isSerialising) {
      request.isSerialising = true;
      this.#serialisingCount += 1;
    }
    request.overlapOffset = Math.min(request.overlapOffset, offset);
    request.overlapBytes = Math.max(request.overlapBytes, bytes);
    this.#index?.add(request);
    if (this.#node.loop.witness !== null) this.#tell(request);
  }

  #waitForConflicts(self: TrackedRequest): Pending {
    const first = this.#findConflict(self);
    return first === null ? undefined : run(this.#waitFor(self, first));
  }

  *#waitFor(self: TrackedRequest, other: TrackedRequest): Steps<void> {
    const { current } = this.#node.loop;
    assert(current !== null, 'a request that waits runs in a coroutine');
    assert(!self.waits, 'a request waits for one other at a time');
    other.waiters ??= new Waiters(this.#conflicts, other);
    this.#index?.delete(self);
    self.waits = true;
    const reason = other.waiters.add(self, current);
    traceWait(this.#node, reason);
    // Entered again when nothing is left to wait for.
    yield this.#node.loop.park(reason);
  }

  #findConflict(self: TrackedRequest): TrackedRequest | null {
    const { overlapOffset: start, overlapBytes } = self;
    return this.#newestOf({ start, end: start + overlapBytes, onlySerialising: !self.isSerialising, except: self });
  }

  #blocksAll(blocker: TrackedRequest, bounds: WaitingBounds): boolean {
    const { minStart, maxStart, minEnd, maxEnd, allSerialise, anySerialises } = bounds;
    const newest = this.#newestOf({ start: minStart, end: maxEnd, onlySerialising: !anySerialises, except: null });
    if (newest !== null && newest.order > blocker.order) return false;
    const start = blocker.overlapOffset;
    const end = start + blocker.overlapBytes;
    return (blocker.isSerialising || allSerialise) && end > maxStart && start < minEnd;
  }

  /**
   * The newest request in flight that overlaps a range. One that itself waits, perhaps for the one that asks, does not
   * count: it looks again before it goes on.
   */
  #newestOf(query: RangeQuery): TrackedRequest | null {
    if (this.#index === null && this.#size > FEW) this.#index = this.#makeIndex();
    if (this.#index !== null) return this.#index.newest(query);
    for (let other = this.#newest; other !== null; other = other.older) {
      const counts = other !== query.except && (other.isSerialising || !query.onlySerialising);
      if (counts && !other.waits && overlaps(other, query)) return other;
    }
    return null;
  }

  #makeIndex(): RangeIndex {
    const index = new RangeIndex();
    for (let request = this.#newest; request !== null; request = request.older) if (!request.waits) index.add(request);
    return index;
  }
}

function overlaps(request: TrackedRequest, { start, end }: RangeQuery): boolean {
  return request.overlapOffset < end && start < request.overlapOffset + request.overlapBytes;
}
