/** Begin and end of a request on the event bus. */
import type { Pending } from '../driver.ts';
import { BlockError } from '../error.ts';
import type { BlockNode } from '../node.ts';

/** Runs a request between its two records. Call only when the bus is active. */
export async function whileTraced(
  node: BlockNode,
  operation: string,
  offset: number,
  bytes: number,
  body: () => Pending,
): Promise<void> {
  const request = node.loop.current?.id ?? 0;
  let errno = 0;
  node.trace.emit(request, node.nodeName, { kind: 'request-begin', operation, offset, bytes });
  try {
    await body();
  } catch (error) {
    if (error instanceof BlockError) errno = error.errno;
    throw error;
  } finally {
    node.trace.emit(request, node.nodeName, { kind: 'request-end', operation, errno });
  }
}
