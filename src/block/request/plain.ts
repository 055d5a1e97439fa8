/**
 * The short way through the pipeline, which nearly all requests take: one call of the driver and nothing around it.
 *
 * A request on it is tracked only from the moment it waits. Until then nobody else runs who could meet it.
 */
import { MAX_LENGTH, REQUEST_MAX_BYTES } from '../flags.ts';
import type { BlockNode } from '../node.ts';
import type { Coroutine } from '../loop.ts';
import type { TrackedKind } from './serialise.ts';

/** Whether a node has and its driver takes a range as it is, and nobody keeps others out of anything on the node. */
export function isPlainRange(node: BlockNode, offset: number, bytes: number): boolean {
  const { requestAlignment: align, maxTransfer } = node.limits;
  // What `checkDataRequest` refuses is not plain.
  if (node.closed || offset < 0 || bytes > REQUEST_MAX_BYTES || offset > MAX_LENGTH - bytes) return false;
  if (node.requests.hasSerialising || (maxTransfer !== 0 && bytes > maxTransfer)) return false;
  return align === 1 || (offset % align === 0 && bytes % align === 0);
}

/** Tracks a request of `coroutine` that has begun to wait, until `pending` ends. */
export function trackLate(
  node: BlockNode,
  coroutine: Coroutine | null,
  kind: TrackedKind,
  offset: number,
  bytes: number,
  pending: Promise<void>,
): Promise<void> {
  const { requests } = node;
  return requests.endAfter(requests.begin(kind, offset, bytes, coroutine), pending);
}
