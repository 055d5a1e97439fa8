/**
 * Copying clusters of a disk to another one, each once: a range is cut into tasks, which run side by side, and a range
 * that another call is copying is waited for.
 */
import { BlockError } from '../../block/error.ts';
import { Req, Status } from '../../block/flags.ts';
import { isInChain } from '../../block/graph/chain.ts';
import { type ChildLink, MAX_TRANSFER_BYTES } from '../../block/graph/node.ts';
import { CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import type { Coroutine, EventLoop } from '../../block/loop/loop.ts';
import { TaskPool } from '../../block/loop/task-pool.ts';
import { preadv } from '../../block/request/read.ts';
import { blockStatusAbove, type ChainStatus } from '../../block/request/status.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { alignDown, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import type { ClusterRuns } from './cluster-runs.ts';

/** Tasks of one call that run side by side, and the bytes of one unless a cluster is longer, as in QEMU 7.2. */
const MAX_BUSY_TASKS = 64;
const TASK_BYTES = 1 << 20;

/** A call of `copy`. A caller that has given it up sets `isCancelled`: what has begun goes on, nothing more begins. */
export interface CopyCall {
  isCancelled: boolean;
  /** Of the first task that failed; 0 if none did. */
  errno: number;
}

/** A run of clusters that is being copied. */
class Task {
  readonly start: number;
  end: number;
  readonly coroutine: Coroutine | null;
  readonly waiting: CoroutineQueue;

  constructor(loop: EventLoop, start: number, end: number) {
    this.start = start;
    this.end = end;
    this.coroutine = loop.current;
    this.waiting = new CoroutineQueue(loop);
  }
}

/** The copying of a disk. Ranges are in clusters, from the first to before the end. */
export class BlockCopy {
  readonly clusterBytes: number;
  /** The clusters that are not copied, and are not being copied. */
  readonly left: ClusterRuns;
  readonly #source: ChildLink;
  readonly #target: ChildLink;
  readonly #lengthBytes: number;
  readonly #taskClusters: number;
  readonly #writeFlags: number;
  /** The newest first. */
  readonly #tasks: Task[] = [];

  constructor(source: ChildLink, target: ChildLink, clusterBytes: number, left: ClusterRuns) {
    this.#source = source;
    this.#target = target;
    this.clusterBytes = clusterBytes;
    this.left = left;
    this.#lengthBytes = source.node.getLength();
    const limit = minNonZero(source.node.limits.maxTransfer, target.node.limits.maxTransfer);
    const maxTransfer = alignDown(minNonZero(limit, MAX_TRANSFER_BYTES), clusterBytes);
    const taskBytes = Math.min(Math.max(clusterBytes, TASK_BYTES), maxTransfer);
    this.#taskClusters = Math.max(1, Math.floor(taskBytes / clusterBytes));
    // A target over the source shows what is copied at once: a read of it must not see what the guest has just written.
    this.#writeFlags = isInChain(target.node, source.node) ? Req.SERIALISING : 0;
  }

  /** Copies the rest of a range, and waits for what other calls are copying of it. `call.errno` is how that ended. */
  *copy(start: number, end: number, call: CopyCall): Steps<void> {
    while (!call.isCancelled) {
      const hasCopied = yield* this.#copyLeft(start, end, call);
      if (call.errno !== 0) return;
      // Meanwhile, and while others were waited for, some of theirs may have failed.
      if (hasCopied || (yield* this.#waitForOne(start, end))) continue;
      if (this.left.firstWithin(start, end) === null) return;
    }
  }

  /** Copies what is left of a range. True if there was something. */
  *#copyLeft(start: number, end: number, call: CopyCall): Steps<boolean> {
    let pool: TaskPool | null = null;
    let hasFound = false;
    for (let at = start; at < end && call.errno === 0 && !call.isCancelled; ) {
      const task = this.#nextTask(at, end);
      if (task === null) break;
      hasFound = true;
      const isZero = yield* this.#lookAt(task);
      at = task.end;
      if (at < end) pool ??= new TaskPool(this.#loop, MAX_BUSY_TASKS);
      if (pool === null) yield* this.#runTask(task, isZero, call);
      else yield* pool.start(() => run(this.#runTask(task, isZero, call)));
    }
    if (pool !== null) {
      yield* pool.drain();
      pool.check();
    }
    return hasFound;
  }

  get #loop(): EventLoop {
    return this.#source.node.loop;
  }

  #nextTask(start: number, end: number): Task | null {
    const found = this.left.firstWithin(start, end);
    if (found === null) return null;
    const task = new Task(this.#loop, found.start, Math.min(found.end, found.start + this.#taskClusters));
    this.left.delete(task.start, task.end);
    this.#tasks.unshift(task);
    return task;
  }

  /** Cuts a task to what is of one kind. True if that is zeroes. */
  *#lookAt(task: Task): Steps<boolean> {
    const { clusterBytes } = this;
    const offset = task.start * clusterBytes;
    const bytes = (task.end - task.start) * clusterBytes;
    const query = { base: null, includeBase: false, wantZero: true };
    let found: { readonly flags: number; readonly bytes: number };
    try {
      const status: ChainStatus = yield blockStatusAbove(this.#source.node, query, offset, bytes);
      found = status;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      found = { flags: 0, bytes: 0 };
    }
    const isShort = found.bytes < clusterBytes;
    const round = offset + found.bytes === this.#lengthBytes ? Math.ceil : Math.floor;
    const end = task.start + (isShort ? 1 : round(found.bytes / clusterBytes));
    if (end < task.end) {
      this.left.add(end, task.end);
      task.end = end;
      task.waiting.wakeAll();
    }
    return !isShort && (found.flags & Status.ZERO) !== 0;
  }

  /** Copies the clusters of a task. Failures of I/O are in `call.errno` afterwards, others are thrown. */
  *#runTask(task: Task, isZero: boolean, call: CopyCall): Steps<void> {
    let isCopied = false;
    try {
      if (call.errno === 0) {
        yield* this.#copyRange(task, isZero);
        isCopied = true;
      }
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      if (call.errno === 0) call.errno = error.errno;
    } finally {
      if (!isCopied) this.left.add(task.start, task.end);
      this.#tasks.splice(this.#tasks.indexOf(task), 1);
      task.waiting.wakeAll();
    }
  }

  *#copyRange({ start, end }: Task, isZero: boolean): Steps<void> {
    const offset = start * this.clusterBytes;
    const bytes = Math.min(end * this.clusterBytes, this.#lengthBytes) - offset;
    const { node } = this.#target;
    if (offset + bytes > node.getLength()) {
      // There qemu-io 7.2 aborts.
      node.context.warn(
        `target '${node.nodeName}' of copy-before-write is too short for bytes ${offset} to ${offset + bytes}`,
      );
      throw new BlockError(Errno.EINVAL);
    }
    if (isZero) {
      yield pwriteZeroes(this.#target, offset, bytes, this.#writeFlags);
      return;
    }
    const data = node.context.allocate(bytes);
    yield preadv(this.#source, offset, data, 0);
    yield pwritev(this.#target, offset, data, this.#writeFlags);
  }

  /** Waits for another call that is copying some of a range; false if there is none. */
  *#waitForOne(start: number, end: number): Steps<boolean> {
    const task = this.#tasks.find((one) => one.start < end && start < one.end);
    if (task === undefined) return false;
    yield task.waiting.wait({ kind: 'overlap', blockedBy: task.coroutine });
    return true;
  }
}
