/** The node below a blkdebug node, as faults use it for one request. */
import { BlockError } from '../../block/error.ts';
import type { ErrorPlace } from '../../util/compact.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { rootOf } from '../../block/loop/coroutine.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { hasGuestOffsets } from '../../block/request/traced.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { assert } from '../../util/assert.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import type { Disk, DiskRequest, FaultRule } from './actions/fault.ts';
import { IoType } from './rules/condition.ts';
import type { BlkdebugNode } from './state.ts';
import { StoppedRequest, suspend } from './suspended-requests.ts';

/** Passes a request on to the node below. A query of the status goes on by itself. */
export function forward(node: BlkdebugNode, { ioType, offset, bytes, data, flags }: DiskRequest): Pending {
  const child = fileOf(node);
  switch (ioType) {
    case IoType.READ:
      assert(data !== null, 'a read has room for data');
      return preadv(child, offset, data, flags);
    case IoType.WRITE:
      assert(data !== null, 'a write has data');
      return pwritev(child, offset, data, flags);
    case IoType.WRITE_ZEROES:
      return pwriteZeroes(child, offset, bytes, flags);
    case IoType.DISCARD:
      return pdiscard(child, offset, bytes);
    case IoType.FLUSH:
      return flush(child.node);
    case IoType.BLOCK_STATUS:
      return undefined;
  }
}

/** The disk for a request that a fault acts on. */
export class NodeBelow implements Disk {
  readonly #node: BlkdebugNode;
  readonly #rule: FaultRule;
  readonly #request: DiskRequest;

  constructor(node: BlkdebugNode, rule: FaultRule, request: DiskRequest) {
    this.#node = node;
    this.#rule = rule;
    this.#request = request;
  }

  get bytes(): number {
    return fileOf(this.#node).node.totalSectors * SECTOR_BYTES;
  }

  forward(request: DiskRequest): Pending {
    return forward(this.#node, request);
  }

  fail(errno: number): never {
    const { trace, loop, nodeName } = this.#node;
    const place = placeOf(this.#node, this.#request);
    trace.emit(loop.current?.id ?? 0, nodeName, { kind: 'error-injected', rule: this.#rule.number, errno, ...place });
    throw new BlockError(errno);
  }

  /** A flush of the node above goes on to those below by itself: they have nothing to flush any more. */
  pretendFlushed(): void {
    this.#node.watch?.losesFlush();
    markFlushed(fileOf(this.#node).node);
  }

  *suspend(tag: string): Steps<void> {
    const { loop } = this.#node;
    if (loop.current === null) return;
    const stopped = new StoppedRequest(loop.current, this.#rule.event);
    suspend(this.#node, tag, stopped);
    yield* stopped.wait(loop);
    loop.checkCancelled();
  }
}

/** Whose request an error comes to, and where: the running request is the one that fails. */
export function placeOf(node: BlkdebugNode, { offset, bytes }: DiskRequest): ErrorPlace {
  const { current } = node.loop;
  const isOfFile = bytes > 0 && !hasGuestOffsets(node);
  const file = isOfFile ? { fileOffset: offset, fileBytes: bytes } : {};
  if (current === null) return file;
  const { id, operation, offset: guestOffset, bytes: guestBytes } = rootOf(current);
  const isRange = guestOffset !== undefined && guestBytes !== undefined;
  return { root: id, operation, ...(isRange ? { guestOffset, guestBytes } : {}), ...file };
}

function markFlushed(node: BlockNode): void {
  node.flushedGeneration = node.writeGeneration;
  for (const child of node.children) markFlushed(child.node);
}
