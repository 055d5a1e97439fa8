/**
 * Finds the last event before a check fails: commands first, many in one run, then the events of one command, one in
 * each run. A check that fails only for a while may be missed between two looks; what is found is a moment at which it
 * holds, and behind which, at the next event or the end of the command, it fails.
 */
import { BlockError } from '../block/error.ts';
import type { Session } from '../shell/session.ts';
import { Errno } from '../util/errno.ts';
import { stoppableEvents } from './event-stop.ts';
import type { Step } from './moment-tree.ts';
import type { Watch } from './session-runner.ts';

/** How the session is run and checked. */
export interface SearchedSession {
  readonly session: Session;
  /** Begins anew and runs up to a moment. */
  readonly runTo: (target: Step, watch?: Watch) => Promise<void>;
  /** Whether the check fails at the present moment. */
  readonly fails: () => Promise<boolean>;
}

/** Looks in one run: a look may take as long as many commands. So many find one of a thousand in three runs. */
const LOOKS_PER_RUN = 10;

/** A moment, and the line that leads on to the failure; empty for requests in the background. */
interface Found {
  readonly target: Step;
  readonly culprit: string;
}

/** `moments` are those of the session from its start on. EINVAL if the check fails at the first, or not at the last. */
export async function findBeforeFailure(moments: readonly Step[], searched: SearchedSession): Promise<Found> {
  let low = 0;
  let high = moments.length - 1;
  let looks = new Set([low, high, ...spread(low, high)]);
  // Of the run that has found the failure where it is looked for last.
  let events: readonly number[] = [];
  for (let isFirst = true; looks.size > 0; isFirst = false) {
    const { good, bad, fired } = await firstBad(moments, looks, searched);
    if (bad === null && isFirst) throw new BlockError(Errno.EINVAL, 'the check does not fail here');
    if (bad === 0) throw new BlockError(Errno.EINVAL, 'the check fails at the start already');
    low = Math.max(low, good);
    if (bad !== null) [high, events] = [bad, fired];
    looks = new Set(spread(low, high));
  }
  const before = moments[low] as Step;
  const step = moments[high] as Step;
  const event = await lastGoodEvent(before, step, events, searched);
  return { target: event === null ? before : { ...step, stop: event, events: event }, culprit: step.line };
}

/**
 * The first of these moments at which the check fails, and the last before it at which it does not; with the events up
 * to the failure at which a request can be stopped.
 */
async function firstBad(
  moments: readonly Step[],
  looks: ReadonlySet<number>,
  { session, runTo, fails }: SearchedSession,
): Promise<{ good: number; bad: number | null; fired: readonly number[] }> {
  const result: { good: number; bad: number | null } = { good: 0, bad: null };
  let index = -1;
  const last = Math.max(...looks);
  const watch = async (): Promise<boolean> => {
    index += 1;
    if (!looks.has(index)) return false;
    if (await fails()) {
      result.bad = index;
      return true;
    }
    result.good = index;
    return false;
  };
  const fired = await stoppableEvents(session, () => runTo(moments[last] as Step, watch));
  return { ...result, fired };
}

/** Numbers between two, without them, as evenly as may be. */
function spread(low: number, high: number): number[] {
  const count = Math.min(LOOKS_PER_RUN, high - low - 1);
  return Array.from(
    { length: Math.max(0, count) },
    (_, at) => low + Math.ceil(((high - low) * (at + 1)) / (count + 1)),
  ).filter((number) => number > low && number < high);
}

/** The last event between two moments at which the check does not fail; null if it fails at all of them. */
async function lastGoodEvent(
  before: Step,
  step: Step,
  fired: readonly number[],
  { runTo, fails }: SearchedSession,
): Promise<number | null> {
  const end = step.stop ?? Number.POSITIVE_INFINITY;
  const events = fired.filter((number) => number > before.events && number < end);
  let low = -1;
  let high = events.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const number = events[middle] as number;
    try {
      await runTo({ ...step, stop: number, events: number });
    } catch (error) {
      if (!(error instanceof BlockError) || error.errno !== Errno.EINVAL) throw error;
      // Nothing can be stopped there.
      events.splice(middle, 1);
      high -= 1;
      continue;
    }
    if (await fails()) high = middle;
    else low = middle;
  }
  return events[low] ?? null;
}
