/**
 * Padding of a request to the node's alignment.
 *
 *     |<---- align ---->|                 |<---- align ---->|
 *     |<- head ->|<---------- request --------->|<- tail -->|
 *
 * The edge blocks, each one alignment long, are in one buffer, the first one first. A request that fits in one or two
 * whole blocks is `merged`: then all of it is that buffer, which is read in one go.
 */
import type { BlockNode } from '../graph/node.ts';

/** The edge blocks that a request shares with data beside it. Bytes, less than one alignment at each end. */
export interface Padding {
  /** Bytes of the first block before the request, 0 if it begins on a boundary. */
  readonly head: number;
  /** Bytes of the last block behind the request. */
  readonly tail: number;
  /** One block, or both edge blocks one behind the other. */
  readonly buffer: Buffer;
  /** The request with its padding is exactly `buffer`. */
  readonly merged: boolean;
}

/** The padding of an aligned range: none. */
export const noPadding: Pick<Padding, 'head' | 'tail'> = { head: 0, tail: 0 };

/** The padding that a range needs on this node; null if it is aligned. */
export function paddingFor(node: BlockNode, offset: number, bytes: number): Padding | null {
  const align = node.limits.requestAlignment;
  if (align === 1) return null;
  const head = offset % align;
  const beyond = (offset + bytes) % align;
  const tail = beyond === 0 ? 0 : align - beyond;
  if (head === 0 && tail === 0) return null;
  const padded = head + bytes + tail;
  const bufferBytes = padded > align && head > 0 && tail > 0 ? 2 * align : align;
  return { head, tail, buffer: node.context.allocate(bufferBytes), merged: padded === bufferBytes };
}

/** The last block of the padding's buffer, where the tail is. */
export function tailBlock(node: BlockNode, padding: Padding): Buffer {
  return padding.buffer.subarray(padding.buffer.length - node.limits.requestAlignment);
}
