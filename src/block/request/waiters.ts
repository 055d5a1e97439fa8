/**
 * Requests that wait for one request, in order of arrival.
 *
 * When that ends, each of them looks again for a request to wait for, as if it had been woken; only one that finds none
 * is woken. The others are handed on in pieces, each as long as all in it find the same request: of n requests that
 * make a file longer each waits for the one before it, and none is looked at n times. To cut and join such pieces
 * quickly they are treaps, ordered by arrival, in which each node knows the ranges below it.
 */
import { assert } from '../../util/assert.ts';
import { joinTreaps, type TreapNode, treapPriority } from '../../util/treap.ts';
import type { Coroutine, WakeSource } from '../loop/coroutine.ts';
import type { TrackedRequest } from './serialise.ts';

/** The parts of a tracker that its waiters ask. */
export interface Conflicts {
  /** The newest request in flight that `request`, which waits, has to wait for; null if there is none. */
  find(request: TrackedRequest): TrackedRequest | null;
  /**
   * Whether `find` gives `blocker` for all requests in these bounds; exact for a single one, else perhaps too careful.
   */
  blocksAll(blocker: TrackedRequest, bounds: WaitingBounds): boolean;
  /** The request does not wait any more. */
  resume(request: TrackedRequest): void;
}

/** The ranges of several requests, in bytes. */
export interface WaitingBounds {
  readonly minStart: number;
  readonly maxStart: number;
  readonly minEnd: number;
  readonly maxEnd: number;
  readonly allSerialise: boolean;
  readonly anySerialises: boolean;
}

/** A waiting request, the reason that its coroutine gives for waiting, and a node of the treap: all of one piece. */
class Waiter implements WaitingBounds, TreapNode<Waiter> {
  readonly kind = 'overlap';
  readonly request: TrackedRequest;
  readonly coroutine: Coroutine;
  /** Of the whole treap; set at its root alone. */
  owner: Waiters | null = null;
  left: Waiter | null = null;
  right: Waiter | null = null;
  parent: Waiter | null = null;
  readonly priority: number;
  minStart = 0;
  maxStart = 0;
  minEnd = 0;
  maxEnd = 0;
  allSerialise = false;
  anySerialises = false;

  constructor(request: TrackedRequest, coroutine: Coroutine) {
    this.request = request;
    this.coroutine = coroutine;
    this.priority = treapPriority(request.order);
    this.update();
  }

  get blockedBy(): Coroutine | null {
    return rootOf(this).owner?.blocker.coroutine ?? null;
  }

  get own(): WaitingBounds {
    const { overlapOffset: start, overlapBytes, isSerialising } = this.request;
    const end = start + overlapBytes;
    const allSerialise = isSerialising;
    return { minStart: start, maxStart: start, minEnd: end, maxEnd: end, allSerialise, anySerialises: isSerialising };
  }

  /** Counts the bounds anew, after the children or what is below them changed. */
  update(): void {
    Object.assign(this, this.own);
    for (const child of [this.left, this.right]) {
      if (child === null) continue;
      child.parent = this;
      child.owner = null;
      this.minStart = Math.min(this.minStart, child.minStart);
      this.maxStart = Math.max(this.maxStart, child.maxStart);
      this.minEnd = Math.min(this.minEnd, child.minEnd);
      this.maxEnd = Math.max(this.maxEnd, child.maxEnd);
      this.allSerialise = this.allSerialise && child.allSerialise;
      this.anySerialises = this.anySerialises || child.anySerialises;
    }
  }
}

/** The waiters of one request. */
export class Waiters implements WakeSource {
  readonly blocker: TrackedRequest;
  readonly #conflicts: Conflicts;
  #root: Waiter | null = null;

  constructor(conflicts: Conflicts, blocker: TrackedRequest) {
    this.#conflicts = conflicts;
    this.blocker = blocker;
  }

  /**
   * Adds a request that waits in `coroutine`, as the last one; its range must not change meanwhile. Returns the reason.
   */
  add(request: TrackedRequest, coroutine: Coroutine): Waiter {
    const waiter = new Waiter(request, coroutine);
    this.#append(waiter);
    return waiter;
  }

  #append(piece: Waiter | null): void {
    this.#setRoot(joinTreaps(this.#root, piece));
  }

  #setRoot(root: Waiter | null): void {
    this.#root = root;
    if (root === null) return;
    root.parent = null;
    root.owner = this;
  }

  next(): Coroutine | null {
    for (let first = firstOf(this.#root); first !== null; first = firstOf(this.#root)) {
      const { request, coroutine } = first;
      const blocker = this.#conflicts.find(request);
      if (blocker === null) {
        this.#setRoot(cutFirst(this.#root));
        this.#conflicts.resume(request);
        return coroutine;
      }
      const [blocked, rest] = cut(this.#root, (bounds) => this.#conflicts.blocksAll(blocker, bounds));
      assert(blocked !== null, 'a request is blocked by its blocker');
      blocker.waiters ??= new Waiters(this.#conflicts, blocker);
      blocker.waiters.#append(blocked);
      this.#setRoot(rest);
    }
    return null;
  }
}

function rootOf(waiter: Waiter): Waiter {
  let node = waiter;
  while (node.parent !== null) node = node.parent;
  return node;
}

function firstOf(root: Waiter | null): Waiter | null {
  let node = root;
  while (node !== null && node.left !== null) node = node.left;
  return node;
}

/** A treap without its first node. */
function cutFirst(root: Waiter | null): Waiter | null {
  if (root === null || root.left === null) return root?.right ?? null;
  root.left = cutFirst(root.left);
  root.update();
  return root;
}

/** Cuts a treap in two: its longest beginning of nodes that all match, and the rest. */
function cut(
  root: Waiter | null,
  matches: (bounds: WaitingBounds) => boolean,
): readonly [beginning: Waiter | null, rest: Waiter | null] {
  if (root === null || matches(root)) return [root, null];
  const { left, right } = root;
  if (left !== null && !matches(left)) {
    const [beginning, rest] = cut(left, matches);
    if (rest !== null) {
      root.left = rest;
      root.update();
      return [beginning, root];
    }
    root.left = beginning;
  }
  if (!matches(root.own)) {
    root.left = null;
    root.update();
    return [left, root];
  }
  const [beginning, rest] = cut(right, matches);
  root.right = beginning;
  root.update();
  return [root, rest];
}
