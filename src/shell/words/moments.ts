/** Moments of a session in a sandbox, in words. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import type { SessionState } from '../session-state.ts';
import type { Arrival, Moment, SessionTimeline } from '../session-timeline.ts';

/** The time line of a session. ENOTSUP outside of a sandbox. */
export function timelineOf({ timeline }: SessionState): SessionTimeline {
  if (timeline === null) throw new BlockError(Errno.ENOTSUP, 'only a sandbox can be led back: blkscope --sandbox FILE');
  return timeline;
}

/** "command 12: write 0 64k", or "within" it; "start" before the first command. */
export function commandOf({ commands, line, isWithin }: Moment): string {
  if (commands === 0 && line === '') return 'start';
  return `${isWithin ? 'within' : 'after'} command ${commands}: ${line}`;
}

/** Says where a journey has ended, and what comes next if a failure was looked for. */
export function sayArrival({ output }: SessionState, arrival: Arrival): void {
  const { events, stopped, culprit } = arrival;
  const event = stopped === null ? `#${events}` : `#${events} ${stopped.event} of ${stopped.request}`;
  output.stdout(`at ${event}, ${commandOf(arrival)}\n`);
  if (stopped !== null) output.stdout(`${stopped.request} is suspended under '${stopped.tag}'\n`);
  if (culprit === null) return;
  const next = stopped === null ? culprit || 'what runs in the background' : `what it does up to its next event`;
  output.stdout(`the check fails after ${next}\n`);
}
