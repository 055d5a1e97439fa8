/** Begin and end of a request on the event bus. Call only when the bus is active. */
import { BlockError } from '../error.ts';
import type { BlockNode } from '../node.ts';

export function beginTrace(node: BlockNode, operation: string, offset: number, bytes: number): void {
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, { kind: 'request-begin', operation, offset, bytes });
}

/** `failure` is what the request threw, undefined for success. */
export function endTrace(node: BlockNode, operation: string, failure: unknown): void {
  const errno = failure instanceof BlockError ? failure.errno : 0;
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, { kind: 'request-end', operation, errno });
}
