/** Coroutines as the event loop keeps them: what each does, what it waits for, and all that are alive. */
import type { Wait } from '../../util/wait.ts';

/** The reason why a coroutine is parked; shown by the views and by the report of stuck requests. */
export type WaitReason =
  | { readonly kind: 'host-io' }
  | { readonly kind: 'bottom-half' }
  | { readonly kind: 'timer' }
  /** A rule of this number lets it wait. */
  | { readonly kind: 'delay'; readonly rule: number }
  /** A peer has to answer. */
  | { readonly kind: 'network' }
  /** A key is being derived from a passphrase, in another thread. */
  | { readonly kind: 'key' }
  /** A request that may not run before a drained section has ended: that of the operation `by`. */
  | { readonly kind: 'drained'; readonly by: string }
  /** A drained section that waits for the requests before it. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'breakpoint'; readonly tag: string; readonly event: string }
  | { readonly kind: 'overlap'; readonly blockedBy: Coroutine | null }
  | { readonly kind: 'flush' }
  /** `holder` has the lock now, if that is known. */
  | { readonly kind: 'lock'; readonly name: string; readonly holder?: Coroutine | null }
  /** Another request takes the space that this one needs as well. */
  | { readonly kind: 'allocation'; readonly blockedBy: Coroutine | null }
  /** A request that was split waits for its parts. */
  | { readonly kind: 'parts' };

/** A request as the views name it. Offsets and lengths are in bytes. */
export interface RequestLabel {
  readonly operation: string;
  readonly offset?: number | undefined;
  readonly bytes?: number | undefined;
  /** The client or console that asked for it; null, or left out, for the shell. */
  readonly origin?: string | null;
  /** The request that this one is a part of; null, or left out, for one that stands by itself. */
  readonly parent?: Coroutine | null;
  /** Commands come before it ends: nothing turns the loop for it until one of them does. */
  readonly isAsynchronous?: boolean;
}

/** Coroutines to be woken one after the other, each chosen when its turn has come. */
export interface WakeSource {
  /** The next one to be entered; null if none is left. */
  next(): Coroutine | null;
}

/** One run of a function under the loop's control: a request, or a part of one. */
export class Coroutine {
  readonly id: number;
  /** Its operation, for the views; a shell command that issues a request overwrites it with the request's. */
  operation: string;
  /** Where, in bytes; undefined if it has no range. */
  offset: number | undefined;
  bytes: number | undefined;
  /** The client or console that asked for it; null for the shell. */
  origin: string | null;
  /** The request that this one is a part of; null for one that stands by itself. */
  readonly parent: Coroutine | null;
  /** Commands come before it ends. */
  readonly isAsynchronous: boolean;
  /** Start time in ns of the loop's clock; 0 until a command's coroutine first parks: it cannot be observed before. */
  startedNs: number;
  done: boolean;
  /** Set by `cancel`: the next I/O that looks at it fails with ECANCELED. */
  cancelled: boolean;
  /** The reason of its wait; null while it runs and when it is done. */
  waitsFor: WaitReason | null;
  /** When it parked last, in the loop's clock. */
  waitsSinceNs: number;

  /** The wait in which it is parked; null while it runs. @internal */
  parked: Wait<void> | null;
  /** It has parked or ended since it was entered. @internal */
  hasStopped: boolean;
  /** Called when it stops; null if its caller looks at `hasStopped`. @internal */
  whenStopped: (() => void) | null;
  /** The coroutine that entered this one, and runs again when this one stops. @internal */
  caller: Coroutine | null;
  /** Coroutines woken by this one; they run as soon as it parks or ends. @internal */
  woken: (Coroutine | WakeSource)[] | null;

  /** The next one in the queue that this one waits in. @internal */
  behind: Coroutine | null;

  /** Neighbours among those that are alive. @internal */
  older: Coroutine | null;
  newer: Coroutine | null;

  // Each command makes one; fields that are set where they are declared would be a second function.
  constructor(id: number, { operation, offset, bytes, origin, parent, isAsynchronous }: RequestLabel) {
    this.id = id;
    this.operation = operation;
    this.offset = offset;
    this.bytes = bytes;
    this.origin = origin ?? null;
    this.parent = parent ?? null;
    this.isAsynchronous = isAsynchronous ?? false;
    this.startedNs = 0;
    this.done = false;
    this.cancelled = false;
    this.waitsFor = null;
    this.waitsSinceNs = 0;
    this.parked = null;
    this.hasStopped = false;
    this.whenStopped = null;
    this.caller = null;
    this.woken = null;
    this.behind = null;
    this.older = null;
    this.newer = null;
  }
}

/** The label of a part of a request: the views show it with the request's operation and range, and as a part of it. */
export function labelOfPart(whole: Coroutine): RequestLabel {
  const { operation, offset, bytes, origin } = whole;
  return { operation, offset, bytes, origin, parent: whole };
}

/** The reason of a request that waits for its parts. */
export const waitsForParts: WaitReason = { kind: 'parts' };

/** The request of the user that a request is a part of: itself if it is none. */
export function rootOf(coroutine: Coroutine): Coroutine {
  let root = coroutine;
  while (root.parent !== null) root = root.parent;
  return root;
}

/**
 * Coroutines that wait for the same, in order of arrival. Each waits in one queue at most, and is a link of it: nothing
 * is allocated for the wait of one.
 */
export class WaitingCoroutines {
  /** The one that waits longest; null if none does. Only changed in here. */
  first: Coroutine | null = null;
  #last: Coroutine | null = null;

  /** Adds one as the last. */
  push(coroutine: Coroutine): void {
    if (this.#last === null) this.first = coroutine;
    else this.#last.behind = coroutine;
    this.#last = coroutine;
  }

  /** Takes the first one; undefined if there is none. */
  shift(): Coroutine | undefined {
    const { first } = this;
    if (first === null) return undefined;
    this.first = first.behind;
    if (first.behind === null) this.#last = null;
    first.behind = null;
    return first;
  }
}

/**
 * Every coroutine that was started and has not ended, oldest first. A list: most are alive for the length of one call.
 */
export class AliveCoroutines {
  size = 0;
  #oldest: Coroutine | null = null;
  #newest: Coroutine | null = null;

  /** Adds one that is not in the list, as the newest. */
  add(coroutine: Coroutine): void {
    coroutine.older = this.#newest;
    if (this.#newest === null) this.#oldest = coroutine;
    else this.#newest.newer = coroutine;
    this.#newest = coroutine;
    this.size += 1;
  }

  /** Removes one that is in the list. */
  delete(coroutine: Coroutine): void {
    if (coroutine.older === null) this.#oldest = coroutine.newer;
    else coroutine.older.newer = coroutine.newer;
    if (coroutine.newer === null) this.#newest = coroutine.older;
    else coroutine.newer.older = coroutine.older;
    this.size -= 1;
  }

  *[Symbol.iterator](): Generator<Coroutine> {
    for (let coroutine = this.#oldest; coroutine !== null; coroutine = coroutine.newer) yield coroutine;
  }
}
