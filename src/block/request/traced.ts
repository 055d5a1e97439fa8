/** The way into the pipeline: a request is run here, between its two records if the bus has a subscriber. */
import { describeWait } from '../loop/in-flight.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import type { TraceDetail } from '../events/trace.ts';
import type { Coroutine, WaitReason } from '../loop/loop.ts';
import type { BlockNode } from '../graph/node.ts';
import type { TrackedRequest } from './serialise.ts';

/** A request as its records name it. Offset and length in bytes, 0 for one without a range. */
interface RecordedRange {
  readonly operation: string;
  readonly offset: number;
  readonly bytes: number;
}

/** The work of a request: its steps, or a function where nearly all of them need none. */
type RequestBody = Steps<void> | (() => Pending);

/**
 * Runs a request on `node`; `tracked` ends when the request has ended, however that was. It is the same request with
 * and without subscribers.
 */
export function runTracked(
  node: BlockNode,
  tracked: TrackedRequest,
  operation: string,
  offset: number,
  bytes: number,
  body: RequestBody,
): Pending {
  let pending: Pending;
  try {
    if (node.trace.active) pending = run(recorded(node, { operation, offset, bytes }, body));
    else pending = typeof body === 'function' ? body() : run(body);
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

/** Runs a request on `node` between its records. */
export function* recorded(node: BlockNode, range: RecordedRange, body: RequestBody): Steps<void> {
  const { current } = node.loop;
  const request = current?.id ?? 0;
  const { operation } = range;
  node.trace.emit(request, node.nodeName, beginOf(node, current, range));
  let errno = 0;
  try {
    if (typeof body === 'function') yield body();
    else yield* body;
  } catch (error) {
    if (error instanceof BlockError) ({ errno } = error);
    throw error;
  } finally {
    node.trace.emit(request, node.nodeName, { kind: 'request-end', operation, errno });
  }
}

function beginOf(node: BlockNode, current: Coroutine | null, { operation, offset, bytes }: RecordedRange): TraceDetail {
  const kind = 'request-begin';
  const isOfGuest = hasGuestOffsets(node);
  if (current === null || (current.origin === null && current.parent === null)) {
    return isOfGuest ? { kind, operation, guestOffset: offset, bytes } : { kind, operation, fileOffset: offset, bytes };
  }
  const { origin, parent } = current;
  return {
    kind,
    operation,
    ...(isOfGuest ? { guestOffset: offset } : { fileOffset: offset }),
    bytes,
    ...(origin === null ? {} : { client: origin }),
    ...(parent === null ? {} : { parent: parent.id }),
  };
}

/**
 * Whether the offsets of requests on a node are those of a guest's disk: on formats and the filters above them. Below a
 * format they are offsets of the image file.
 */
export function hasGuestOffsets(node: BlockNode): boolean {
  for (let child = node; ; ) {
    const link = child.parents.find((one) => one.parent.node !== null);
    const above = link?.parent.node ?? null;
    // A backing file is the disk of a guest, too.
    if (above === null || above.backing === link) break;
    if (above.driver.isFormat === true) return false;
    child = above;
  }
  for (let child: BlockNode | null = node; child !== null; child = child.filteredChild?.node ?? null) {
    if (child.driver.isFormat === true) return true;
  }
  return false;
}

/** Records that the running request is about to wait for another one, or for a lock. */
export function traceWait(node: BlockNode, reason: WaitReason): void {
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, { kind: 'lock-wait', on: describeWait(reason) });
}
