/** The way into the pipeline: a request is run here, between its two records if the bus has a subscriber. */
import { describeWait } from '../loop/in-flight.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import type { WaitReason } from '../loop/loop.ts';
import type { BlockNode } from '../graph/node.ts';
import type { TrackedRequest } from './serialise.ts';

/** A request as its records name it. Offset and length in bytes, 0 for one without a range. */
interface RecordedRange {
  readonly operation: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Runs a request on `node`. It is the same request with and without subscribers. */
export function runRequest(
  node: BlockNode,
  operation: string,
  offset: number,
  bytes: number,
  request: () => Pending,
): Pending {
  return node.trace.active ? run(recorded(node, { operation, offset, bytes }, request)) : request();
}

/** `runRequest` for one that is tracked: `tracked` ends when the request has ended, however that was. */
export function runTracked(
  node: BlockNode,
  tracked: TrackedRequest,
  operation: string,
  offset: number,
  bytes: number,
  request: () => Pending,
): Pending {
  let pending: Pending;
  try {
    pending = node.trace.active ? run(recorded(node, { operation, offset, bytes }, request)) : request();
  } catch (error) {
    node.requests.end(tracked);
    throw error;
  }
  if (pending !== undefined) return run(endAfter(node, tracked, pending));
  node.requests.end(tracked);
  return undefined;
}

function* endAfter(node: BlockNode, tracked: TrackedRequest, pending: Promise<void>): Steps<void> {
  try {
    yield pending;
  } finally {
    node.requests.end(tracked);
  }
}

function* recorded(node: BlockNode, { operation, offset, bytes }: RecordedRange, body: () => Pending): Steps<void> {
  const { id: request, origin } = node.loop.current ?? { id: 0, origin: null };
  const begin = { kind: 'request-begin', operation, offset, bytes } as const;
  node.trace.emit(request, node.nodeName, origin === null ? begin : { ...begin, client: origin });
  let errno = 0;
  try {
    yield body();
  } catch (error) {
    if (error instanceof BlockError) ({ errno } = error);
    throw error;
  } finally {
    node.trace.emit(request, node.nodeName, { kind: 'request-end', operation, errno });
  }
}

/** Records that the running request is about to wait for another one, or for a lock. */
export function traceWait(node: BlockNode, reason: WaitReason): void {
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, { kind: 'lock-wait', on: describeWait(reason) });
}
