/** Copy on read: what a read finds in a backing file is written to the node, cluster by cluster. */
import { assert } from '../../util/assert.ts';
import { alignDown, alignUp } from '../../util/align.ts';
import { isAllZero } from '../../util/pattern.ts';
import type { Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { Req } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { canZero, driverPreadv, driverPwritev, transferBytes } from './driver-io.ts';
import { copiedBytes } from './info.ts';
import type { TrackedRequest } from './serialise.ts';
import { type AllocationRun, isAllocated } from './status.ts';
import { zeroRange } from './zero.ts';

const MAX_BOUNCE_BYTES = 16 * 1024 * 1024;

/** Reads a range under `request`, writing those of its clusters that the node does not have. */
export function* copyOnRead(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  data: Buffer,
  flags: number,
): Steps<void> {
  assert(request.isSerialising, 'a request that copies keeps others out of its clusters');
  const { requestAlignment: align } = node.limits;
  const maxTransfer = transferBytes(node);
  const maxBounce = transferBytes(node, MAX_BOUNCE_BYTES);
  const cluster = copiedBytes(node) || 1;
  const prefetch = (flags & Req.PREFETCH) !== 0;
  let position = alignDown(offset, cluster);
  let rest = alignUp(offset + data.length, cluster) - position;
  let skip = offset - position;
  let progress = 0;

  while (rest > 0) {
    const wanted = Math.min(rest, maxTransfer);
    const found = yield* allocationOrNone(node, position, wanted);
    // The image ends in the middle of the last cluster.
    if (found.bytes === 0) break;
    // A run of a node below may end within a block of this one: then the block is copied, with what is here already.
    const allocated = found.allocated && found.bytes >= align;
    const bytes = Math.max(align, alignDown(allocated ? found.bytes : Math.min(found.bytes, maxBounce), align));
    // A cluster of subclusters has runs before and behind what is wanted; there qemu-io 7.2 crashes.
    const before = Math.min(skip, bytes);
    const wantedBytes = prefetch ? 0 : Math.max(0, Math.min(bytes - before, data.length - progress));

    if (!allocated) {
      const bounce = node.context.allocate(bytes);
      yield driverPreadv(node, position, bounce, 0);
      yield node.debugEvent(Event.COR_WRITE);
      if (canZero(node) && isAllZero(bounce)) yield* zeroRange(undefined, node, position, bytes, Req.WRITE_UNCHANGED);
      else yield driverPwritev(node, position, bounce, Req.WRITE_UNCHANGED);
      bounce.copy(data, progress, before, before + wantedBytes);
    } else if (wantedBytes > 0) {
      yield driverPreadv(node, offset + progress, data.subarray(progress, progress + wantedBytes), 0);
    }
    position += bytes;
    rest -= bytes;
    progress += bytes - before;
    skip -= before;
  }
}

/** An error of the question counts as "not allocated": the read that follows will say it better. */
function* allocationOrNone(node: BlockNode, offset: number, bytes: number): Steps<AllocationRun> {
  try {
    return yield isAllocated(node, offset, bytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    return { allocated: false, bytes };
  }
}
