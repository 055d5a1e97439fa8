/** The requests in flight, and what each waits for, for views and messages. */
import { requestName } from '../../util/compact.ts';
import type { Coroutine, EventLoop, WaitReason } from './loop.ts';

/** A request that has begun and not ended. Times are in nanoseconds of the loop's clock. */
export interface RequestInFlight {
  /** Number of its coroutine. */
  readonly request: number;
  readonly operation: string;
  /** The range of the guest's disk in bytes; null for a request without one (flush). */
  readonly guestOffset: number | null;
  readonly bytes: number | null;
  /** The request that it is a part of; left out for one that stands by itself. */
  readonly parent?: number;
  /** The client of an export that asked for it; left out for the shell's own requests. */
  readonly client?: string;
  /** Its wait in words: "breakpoint A", "w4", "lock qcow2", "sleep". */
  readonly waitsFor: string;
  readonly startedNs: number;
  /** Since when it waits. */
  readonly sinceNs: number;
}

/** The requests in flight, oldest first, at most `limit`. The running one is left out: it is the command that asks. */
export function requestsInFlight({ alive, current }: EventLoop, limit = Number.POSITIVE_INFINITY): RequestInFlight[] {
  const requests: RequestInFlight[] = [];
  for (const coroutine of alive) {
    if (requests.length >= limit) break;
    if (coroutine !== current) requests.push(viewRequest(coroutine));
  }
  return requests;
}

/** How many requests are in flight, the running one left out. */
export function countInFlight({ alive, current }: EventLoop): number {
  return alive.size - (current !== null && !current.done ? 1 : 0);
}

function viewRequest(coroutine: Coroutine): RequestInFlight {
  const { waitsFor, startedNs, waitsSinceNs } = coroutine;
  const sinceNs = waitsSinceNs === 0 ? startedNs : waitsSinceNs;
  return { ...viewOf(coroutine), waitsFor: describeWait(waitsFor), startedNs, sinceNs };
}

/** The members that views of requests share. */
export function viewOf({
  id,
  operation,
  offset,
  bytes,
  origin,
  parent,
}: Coroutine): Pick<RequestInFlight, 'request' | 'operation' | 'guestOffset' | 'bytes' | 'parent' | 'client'> {
  const view = { request: id, operation, guestOffset: offset ?? null, bytes: bytes ?? null };
  const part = parent === null ? view : { ...view, parent: parent.id };
  return origin === null ? part : { ...part, client: origin };
}

/** "breakpoint A", "w4", "allocation of w4", "lock qcow2", "sleep". `null`: it can run and waits for its turn. */
export function describeWait(reason: WaitReason | null): string {
  if (reason === null) return 'its turn';
  switch (reason.kind) {
    case 'breakpoint':
      return `breakpoint ${reason.tag}`;
    case 'overlap':
      return reason.blockedBy === null ? 'an overlapping request' : nameOf(reason.blockedBy);
    case 'allocation':
      return reason.blockedBy === null ? 'an allocation' : `allocation of ${nameOf(reason.blockedBy)}`;
    case 'lock':
      return `lock ${reason.name}`;
    case 'parts':
      return 'its parts';
    case 'host-io':
      return 'host I/O';
    case 'bottom-half':
      return 'its turn';
    case 'flush':
      return 'another flush';
    case 'drained':
      return `the end of ${reason.by}`;
    case 'drain':
      return 'the requests before it';
    case 'network':
      return 'the server';
    case 'key':
      return 'the derivation of a key';
    case 'timer':
      return 'sleep';
    case 'delay':
      return `delay of rule ${reason.rule}`;
  }
}

function nameOf({ operation, id }: Coroutine): string {
  return requestName(operation, id);
}
