/** The disk as it was: from the target what is copied, the rest from the disk, where it is not written meanwhile. */
import type { BlockStatus, SnapshotAccess } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { type ChildLink, fileOf } from '../../block/graph/node.ts';
import { CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { preadv } from '../../block/request/read.ts';
import { blockStatus } from '../../block/request/status.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import type { CopyBeforeWriteNode, CopyBeforeWriteState, FrozenRead } from './state.ts';

/** Where the beginning of a range is to be read, and how much of it. */
interface Place {
  readonly child: ChildLink;
  readonly bytes: number;
  /** Null where nothing writes over it. */
  readonly frozen: FrozenRead | null;
}

/** The methods that snapshot-access calls. */
export const snapshotAccess: SnapshotAccess<CopyBeforeWriteState> = {
  preadv: (node, offset, data) => run(read(node, offset, data)),
  blockStatus: (node, offset, bytes) => run(statusOf(node, offset, bytes)),

  pdiscard(node, offset, bytes) {
    const { copy, readable, target } = node.state;
    const { clusterBytes } = copy;
    const end = offset + bytes;
    if (node.context.compat.has('wholeCopies')) {
      const [first, last] = [Math.ceil(offset / clusterBytes), Math.floor(end / clusterBytes)];
      if (last <= first) return undefined;
      readable.delete(first, last);
      copy.left.delete(first, last);
      return pdiscard(target, first * clusterBytes, (last - first) * clusterBytes);
    }
    if (offset % clusterBytes !== 0 || (end % clusterBytes !== 0 && end !== node.getLength())) {
      // There qemu-io 7.2 aborts.
      node.context.warn(`a discard of a snapshot must be of whole clusters of ${clusterBytes} bytes`);
      throw new BlockError(Errno.EINVAL);
    }
    const clusters = [offset / clusterBytes, Math.ceil(end / clusterBytes)] as const;
    readable.delete(...clusters);
    copy.left.delete(...clusters);
    return pdiscard(target, offset, bytes);
  },
};

function* read(node: CopyBeforeWriteNode, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; ) {
    const position = offset + done;
    const { child, bytes, frozen } = freeze(node, position, data.length - done);
    try {
      yield preadv(child, position, data.subarray(done, done + bytes), 0);
    } finally {
      thaw(node.state, frozen);
    }
    done += bytes;
  }
}

function* statusOf(node: CopyBeforeWriteNode, offset: number, bytes: number): Steps<BlockStatus> {
  const place = freeze(node, offset, bytes);
  try {
    return yield blockStatus(place.child.node, true, offset, place.bytes);
  } finally {
    thaw(node.state, place.frozen);
  }
}

/** Looks up where a range begins; `thaw` follows. EACCES if any of it cannot be read, or the snapshot is broken. */
function freeze(node: CopyBeforeWriteNode, offset: number, bytes: number): Place {
  const { state } = node;
  const { clusterBytes } = state.copy;
  const first = Math.floor(offset / clusterBytes);
  const end = Math.ceil((offset + bytes) / clusterBytes);
  if (state.snapshotErrno !== 0 || !state.readable.hasAll(first, end)) throw new BlockError(Errno.EACCES);
  const done = state.done.firstWithin(first, end);
  const isDone = done?.start === first;
  const runEnd = isDone ? done.end : (done?.start ?? end);
  const runBytes = Math.min(bytes, runEnd * clusterBytes - offset);
  if (isDone) return { child: state.target, bytes: runBytes, frozen: null };
  const frozen = { offset, bytes, coroutine: node.loop.current, ended: new CoroutineQueue(node.loop) };
  state.frozen.add(frozen);
  return { child: fileOf(node), bytes: runBytes, frozen };
}

function thaw(state: CopyBeforeWriteState, frozen: FrozenRead | null): void {
  if (frozen === null) return;
  state.frozen.delete(frozen);
  frozen.ended.wakeAll();
}

/** Waits until nothing in a range is read for the snapshot. */
export function* waitForReads({ frozen }: CopyBeforeWriteState, offset: number, bytes: number): Steps<void> {
  for (;;) {
    // The newest first.
    const reads = [...frozen].reverse();
    const read = reads.find((one) => one.offset < offset + bytes && offset < one.offset + one.bytes);
    if (read === undefined) return;
    yield read.ended.wait({ kind: 'overlap', blockedBy: read.coroutine });
  }
}
