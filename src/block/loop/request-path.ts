/** The place of a request among the others: its parts and its whole, for which it waits, and which wait for it. */
import { describeWait, type RequestInFlight, viewOf } from './in-flight.ts';
import type { Coroutine } from './coroutine.ts';
import type { EventLoop } from './loop.ts';

/** A request with a reason: why it waits, or why another one waits for it. */
export type PathStep = Omit<RequestInFlight, 'startedNs' | 'sinceNs'>;

/** A request and those that have to do with it. */
export interface RequestPath {
  /** The request, then the one that it waits for, then the one that this waits for, and so on. */
  readonly waits: readonly PathStep[];
  /** Those that wait for the request itself, oldest first: for what it holds. */
  readonly heldUp: readonly PathStep[];
  /** The request that it is a part of; null if it stands by itself. */
  readonly parent: PathStep | null;
  /** Its parts that are in flight. */
  readonly parts: readonly PathStep[];
}

/** The path of a request by its number; null if it is not in flight. */
export function requestPath({ alive }: EventLoop, request: number): RequestPath | null {
  const all = [...alive];
  const self = all.find(({ id }) => id === request);
  if (self === undefined) return null;
  const waits: Coroutine[] = [];
  for (let at: Coroutine | null = self; at !== null && !waits.includes(at); at = blockedBy(at)) waits.push(at);
  return {
    waits: waits.map(stepOf),
    heldUp: all.filter((other) => blockedBy(other) === self).map(stepOf),
    parent: self.parent === null ? null : stepOf(self.parent),
    parts: all.filter((other) => other.parent === self).map(stepOf),
  };
}

/** The request that another one waits for, as far as that is known. */
function blockedBy({ waitsFor }: Coroutine): Coroutine | null {
  switch (waitsFor?.kind) {
    case 'overlap':
    case 'allocation':
      return waitsFor.blockedBy;
    case 'lock':
      return waitsFor.holder ?? null;
    default:
      return null;
  }
}

function stepOf(coroutine: Coroutine): PathStep {
  return { ...viewOf(coroutine), waitsFor: describeWait(coroutine.waitsFor) };
}
