/** Begin, waits and end of a request on the event bus. */
import { describeWait } from '../loop/in-flight.ts';
import type { Pending } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import type { WaitReason } from '../loop/loop.ts';
import type { BlockNode } from '../graph/node.ts';

/**
 * Runs a request between its two records. Call only when the bus is active. What need not wait does not wait here
 * either: a run takes the same steps whether it is watched or not.
 */
export function whileTraced(
  node: BlockNode,
  operation: string,
  offset: number,
  bytes: number,
  body: () => Pending,
): Pending {
  const request = node.loop.current?.id ?? 0;
  node.trace.emit(request, node.nodeName, { kind: 'request-begin', operation, offset, bytes });
  let pending: Pending;
  try {
    pending = body();
  } catch (error) {
    traceEnd(node, request, operation, error);
    throw error;
  }
  if (pending !== undefined) return endAfter(node, request, operation, pending);
  traceEnd(node, request, operation, undefined);
  return undefined;
}

async function endAfter(node: BlockNode, request: number, operation: string, pending: Promise<void>): Promise<void> {
  try {
    await pending;
  } catch (error) {
    traceEnd(node, request, operation, error);
    throw error;
  }
  traceEnd(node, request, operation, undefined);
}

function traceEnd(node: BlockNode, request: number, operation: string, error: unknown): void {
  const errno = error instanceof BlockError ? error.errno : 0;
  node.trace.emit(request, node.nodeName, { kind: 'request-end', operation, errno });
}

/** Tells that the running request is about to wait for another one, or for a lock. */
export function traceWait(node: BlockNode, reason: WaitReason): void {
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, { kind: 'lock-wait', on: describeWait(reason) });
}
