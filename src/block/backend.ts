/** The backend: what a user of the block layer (the shell) holds of an opened image. */
import { assert } from '../util/assert.ts';
import { Errno } from '../util/errno.ts';
import type { TruncateOptions } from './driver.ts';
import { type Answer, isPromise, type Pending, run, type Steps } from '../util/steps.ts';
import { BlockError } from './error.ts';
import { Req } from './flags.ts';
import { CoroutineQueue } from './loop/coroutine-queue.ts';
import type { EventLoop, WaitReason } from './loop/loop.ts';
import type { BlockNode, ChildLink } from './graph/node.ts';
import { setBackendPermissions } from './graph/permissions.ts';
import { pdiscard } from './request/discard.ts';
import { flush } from './request/flush.ts';
import { preadv } from './request/read.ts';
import {
  type AllocationRun,
  blockStatusAbove,
  type ChainQuery,
  type ChainStatus,
  isAllocated,
} from './request/status.ts';
import { traceWait } from './request/traced.ts';
import { truncate } from './request/truncate.ts';
import { loadVmState, saveVmState } from './request/vmstate.ts';
import { pwriteZeroesOfUser, pwritev } from './request/write.ts';

/**
 * The handle of a user of the block layer: a node with permissions, a cache mode and the checks that come before every
 * request.
 */
export class BlockBackend {
  readonly root: ChildLink;
  /** Off: every write is on stable storage before it ends (write-through). */
  writeCacheEnabled = true;
  /** Requests of this backend that have begun and not ended. */
  inFlight = 0;
  readonly #loop: EventLoop;
  /** The operation whose drained section has begun, or is about to; null if there is none. */
  #drainedBy: string | null = null;
  /** Requests that wait for the end of the section. */
  readonly #afterSection: CoroutineQueue;
  /** The section that waits for the requests before it, and other sections behind it. */
  readonly #idle: CoroutineQueue;

  constructor(root: ChildLink) {
    this.root = root;
    this.#loop = root.node.loop;
    this.#afterSection = new CoroutineQueue(this.#loop);
    this.#idle = new CoroutineQueue(this.#loop);
  }

  /** The node that the user opened. */
  get top(): BlockNode {
    return this.root.node;
  }

  /** Asks for more permissions (bits of `Perm`). EPERM or EINVAL if they cannot be had; it has the old ones then. */
  addPermissions(perm: number): void {
    setBackendPermissions(this, this.root.perm | perm, this.root.shared);
  }

  /** Whether there is something to be read: the node is open, and a drive has a disc. */
  get isAvailable(): boolean {
    return !this.top.closed && isInserted(this.top);
  }

  /** The length in bytes now. ENOMEDIUM for a drive without a disc. */
  getLength(): number {
    this.#checkMedium();
    return this.top.getLength();
  }

  /** Fills `data` from `offset`. EIO if the range is not within the image. */
  pread(offset: number, data: Buffer): Pending {
    const bytes = data.length;
    return this.#run('read', offset, bytes, () => preadv(this.root, this.#within(offset, bytes), data, 0));
  }

  /** Writes `data`; `flags` are bits of `Req`. EIO if the range is not within the image. */
  pwrite(offset: number, data: Buffer, flags: number): Pending {
    const bytes = data.length;
    return this.#run('write', offset, bytes, () =>
      pwritev(this.root, this.#within(offset, bytes), data, this.#withFua(flags)),
    );
  }

  /** Makes `bytes` at `offset` read as zeroes; `flags` are bits of `Req`. EIO if the range is not within the image. */
  pwriteZeroes(offset: number, bytes: number, flags: number): Pending {
    return this.#run('write -z', offset, bytes, () =>
      pwriteZeroesOfUser(this.root, this.#within(offset, bytes), bytes, this.#withFua(flags)),
    );
  }

  /**
   * Writes whole clusters, compressed. ENOTSUP by a driver that cannot, EINVAL for a range that is not made of
   * clusters.
   */
  pwriteCompressed(offset: number, data: Buffer): Pending {
    const bytes = data.length;
    return this.#run('write -c', offset, bytes, () =>
      pwritev(this.root, this.#within(offset, bytes), data, this.#withFua(Req.WRITE_COMPRESSED)),
    );
  }

  /** Tells that the content of `bytes` at `offset` is not needed. EIO if the range is not within the image. */
  pdiscard(offset: number, bytes: number): Pending {
    return this.#run('discard', offset, bytes, () => pdiscard(this.root, this.#within(offset, bytes), bytes));
  }

  /** Puts what was written on stable storage, as far as the cache mode asks for it. ENOMEDIUM without a disc. */
  flush(): Pending {
    return this.#run('flush', undefined, undefined, () => {
      this.#checkMedium();
      return flush(this.top);
    });
  }

  /** Makes the image `bytes` long, or at least so long if not `options.exact`. */
  truncate(bytes: number, options: Partial<TruncateOptions> = {}): Pending {
    return this.#run('truncate', bytes, undefined, () => {
      this.#checkMedium('No medium inserted');
      return truncate(this.root, bytes, options);
    });
  }

  /** Fills `data` from `offset` of the VM state. ENOTSUP by a driver that has none. */
  loadVmState(offset: number, data: Buffer): Pending {
    return this.#run('read -b', offset, data.length, () => {
      this.#checkMedium();
      return loadVmState(this.top, offset, data);
    });
  }

  /** Writes VM state; with the write cache off it is flushed as well. */
  saveVmState(offset: number, data: Buffer): Pending {
    return this.#run('write -b', offset, data.length, () => run(this.#saveVmState(offset, data)));
  }

  /** Whether the top node itself has a range: `isAllocated`. */
  isAllocated(offset: number, bytes: number): Answer<AllocationRun> {
    return this.#begin(() => isAllocated(this.top, offset, bytes));
  }

  /** The state of a range, as `blockStatusAbove` from the top node down. */
  blockStatus(query: ChainQuery, offset: number, bytes: number): Answer<ChainStatus> {
    return this.#begin(() => blockStatusAbove(this.top, query, offset, bytes));
  }

  /** Whether a drained section has begun: requests wait for its end. */
  get isDraining(): boolean {
    return this.#drainedBy !== null;
  }

  /**
   * Runs `body` in a drained section, once no request is in flight. For what puts other state in the place of what a
   * request may be using (close). `by` says what, for the requests that wait.
   */
  *drained<T>(by: string, body: () => Answer<T>): Steps<T> {
    while (this.#drainedBy !== null) yield this.#afterSection.wait({ kind: 'drained', by: this.#drainedBy });
    this.beginDrained(by);
    return yield* this.idle(body);
  }

  /** Begins a drained section, which `idle` ends, or `endDrained`: requests that come from now on wait until then. */
  beginDrained(by: string): void {
    assert(this.#drainedBy === null, 'one drained section at a time');
    this.#drainedBy = by;
  }

  /** Runs `body` when the requests before the drained section have ended, and ends the section. */
  *idle<T>(body: () => Answer<T>): Steps<T> {
    try {
      while (this.inFlight > 0) yield this.#idle.wait({ kind: 'drain' });
      return yield body();
    } finally {
      this.endDrained();
    }
  }

  /** Ends a drained section. */
  endDrained(): void {
    this.#drainedBy = null;
    this.#afterSection.wakeAll();
  }

  #withFua(flags: number): number {
    return this.writeCacheEnabled ? flags : flags | Req.FUA;
  }

  *#saveVmState(offset: number, data: Buffer): Steps<void> {
    this.#checkMedium();
    yield saveVmState(this.top, offset, data);
    if (!this.writeCacheEnabled) yield flush(this.top);
  }

  /** Runs a request; the running coroutine shows as its `operation` and range. */
  #run(operation: string, offset: number | undefined, bytes: number | undefined, body: () => Pending): Pending {
    const coroutine = this.#loop.current;
    if (coroutine !== null) {
      coroutine.operation = operation;
      coroutine.offset = offset;
      coroutine.bytes = bytes;
    }
    return this.#begin(body);
  }

  #begin(body: () => Pending): Pending;
  #begin<T>(body: () => Answer<T>): Answer<T>;
  #begin<T>(body: () => Answer<T>): Answer<T> {
    if (this.#drainedBy !== null) return run(this.#afterDrained(body));
    this.inFlight += 1;
    let answer: Answer<T>;
    try {
      answer = body();
    } catch (error) {
      this.#end();
      throw error;
    }
    if (isPromise(answer)) return run(this.#restOf(answer));
    this.#end();
    this.#loop.checkCancelled();
    return answer;
  }

  /** A request that comes in a drained section: it has not begun before that ends. */
  *#afterDrained<T>(body: () => Answer<T>): Steps<T> {
    while (this.#drainedBy !== null) {
      const reason: WaitReason = { kind: 'drained', by: this.#drainedBy };
      traceWait(this.top, reason);
      yield this.#afterSection.wait(reason);
    }
    this.#loop.checkCancelled();
    return yield this.#begin(body);
  }

  /** The rest of a request that has to wait. */
  *#restOf<T>(answer: Promise<T>): Steps<T> {
    let value: T;
    try {
      value = yield answer;
    } finally {
      this.#end();
    }
    // A request cancelled at a point where it had no I/O left to fail has still been cancelled.
    this.#loop.checkCancelled();
    return value;
  }

  #end(): void {
    this.inFlight -= 1;
    if (this.#drainedBy !== null && this.inFlight === 0) this.#idle.wakeAll();
  }

  /** The offset of a range that is within the image. */
  #within(offset: number, bytes: number): number {
    const { node } = this.root;
    if (node.closed || !isInserted(node)) throw new BlockError(Errno.ENOMEDIUM);
    const length = node.getLength();
    if (offset < 0 || bytes < 0 || offset > length || length - offset < bytes) throw new BlockError(Errno.EIO);
    return offset;
  }

  #checkMedium(message?: string): void {
    if (!this.isAvailable) throw new BlockError(Errno.ENOMEDIUM, message);
  }
}

/** Whether a node and all nodes below it have a medium. */
function isInserted(node: BlockNode): boolean {
  if (node.driver.isInserted !== undefined) return node.driver.isInserted(node);
  // Asked before each request; an iterator costs more than all else in here.
  const { children } = node;
  for (let index = 0; index < children.length; index += 1) {
    const child = children[index];
    if (child !== undefined && !isInserted(child.node)) return false;
  }
  return true;
}
