/**
 * Requests by the ranges that they keep others out of: which is the newest that overlaps a range?
 *
 * A treap, ordered by where the ranges begin. Each node knows how far the ranges below it reach and how new their
 * requests are, so that a search looks at few that do not overlap, or that are older than one it has found.
 */
import { assert } from '../../util/assert.ts';
import { joinTreaps, type TreapNode, treapPriority } from '../../util/treap.ts';
import type { TrackedRequest } from './serialise.ts';

/** A range, and which requests count. */
export interface RangeQuery {
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
  readonly onlySerialising: boolean;
  readonly except: TrackedRequest | null;
}

class Entry implements TreapNode<Entry> {
  readonly request: TrackedRequest;
  readonly priority: number;
  left: Entry | null = null;
  right: Entry | null = null;
  /** Of the entry and all below it; -1 if none of them serialises. */
  maxEnd = 0;
  maxSerialisingEnd = -1;
  maxOrder = 0;

  constructor(request: TrackedRequest) {
    this.request = request;
    this.priority = treapPriority(request.order);
    this.update();
  }

  /** Counts anew what is known of the entries below. */
  update(): void {
    const { request, left, right } = this;
    const end = request.overlapOffset + request.overlapBytes;
    this.maxEnd = Math.max(end, left?.maxEnd ?? end, right?.maxEnd ?? end);
    const serialisingEnd = request.isSerialising ? end : -1;
    this.maxSerialisingEnd = Math.max(serialisingEnd, left?.maxSerialisingEnd ?? -1, right?.maxSerialisingEnd ?? -1);
    this.maxOrder = Math.max(request.order, left?.maxOrder ?? 0, right?.maxOrder ?? 0);
  }
}

/** An index of requests. The range of one that is in it must not change. */
export class RangeIndex {
  #root: Entry | null = null;

  /** Adds a request that is not in the index. */
  add(request: TrackedRequest): void {
    this.#root = insert(this.#root, new Entry(request));
  }

  /** Removes a request that is in the index. */
  delete(request: TrackedRequest): void {
    this.#root = remove(this.#root, request);
  }

  /** The newest request that overlaps the range of the query; null if there is none. */
  newest(query: RangeQuery): TrackedRequest | null {
    return newestBelow(this.#root, query, null);
  }
}

/** The newest request below `entry` that the query asks for, if it is newer than `found`; else `found`. */
function newestBelow(entry: Entry | null, query: RangeQuery, found: TrackedRequest | null): TrackedRequest | null {
  if (entry === null || (found !== null && entry.maxOrder < found.order)) return found;
  const { start, end, onlySerialising, except } = query;
  if ((onlySerialising ? entry.maxSerialisingEnd : entry.maxEnd) <= start) return found;
  const { request, left, right } = entry;
  let newest = newestBelow(left, query, found);
  if (request.overlapOffset >= end) return newest;
  const counts = request !== except && (request.isSerialising || !onlySerialising);
  if (counts && request.overlapOffset + request.overlapBytes > start && request.order > (newest?.order ?? -1)) {
    newest = request;
  }
  return newestBelow(right, query, newest);
}

function isBefore(a: TrackedRequest, b: TrackedRequest): boolean {
  return a.overlapOffset < b.overlapOffset || (a.overlapOffset === b.overlapOffset && a.order < b.order);
}

function insert(root: Entry | null, entry: Entry): Entry {
  if (root === null) return entry;
  if (entry.priority > root.priority) {
    [entry.left, entry.right] = split(root, entry.request);
    entry.update();
    return entry;
  }
  if (isBefore(entry.request, root.request)) root.left = insert(root.left, entry);
  else root.right = insert(root.right, entry);
  root.update();
  return root;
}

/** The entries before a request, and those behind it. */
function split(root: Entry | null, request: TrackedRequest): [before: Entry | null, behind: Entry | null] {
  if (root === null) return [null, null];
  if (isBefore(root.request, request)) {
    const [before, behind] = split(root.right, request);
    root.right = before;
    root.update();
    return [root, behind];
  }
  const [before, behind] = split(root.left, request);
  root.left = behind;
  root.update();
  return [before, root];
}

function remove(root: Entry | null, request: TrackedRequest): Entry | null {
  assert(root !== null, 'a request that is removed is in the index');
  if (root.request === request) return joinTreaps(root.left, root.right);
  if (isBefore(request, root.request)) root.left = remove(root.left, request);
  else root.right = remove(root.right, request);
  root.update();
  return root;
}
