/** Injections as a blkdebug.conf for QEMU's program, which counts nothing: chains of states do it. */
import { Errno } from '../../util/errno.ts';
import type { Injection, Point } from '../injector.ts';

/** A longer chain is no text for a reader. */
const STATES_MAX = 1000;

/** How blkdebug calls kinds of requests. */
const ioTypes: Readonly<Record<string, string>> = {
  read: 'read',
  write: 'write',
  zero: 'write-zeroes',
  discard: 'discard',
  flush: 'flush',
};

/** An error as rules can say it: after the `nth` event of a kind, for requests of a kind or of any. */
interface Moment {
  readonly event: string;
  readonly nth: number;
  /** Place among the points of the run. */
  readonly at: number;
  readonly ioType: string | null;
}

/**
 * The rules that do what `injections` do in the run that came by `passed`; null if there are none. The points are of
 * the first node with rules and of the file below it.
 */
export function rulesFor(injections: readonly Injection[], passed: readonly Point[]): string | null {
  const sections: string[] = [];
  let state = 1;
  let from = 0;
  for (const { point, errno, once } of injections) {
    const moment = momentOf(point, passed);
    if (moment === null || moment.at < from) return null;
    // Events of the kind since the last injection, up to this one.
    const count = passed
      .slice(from, moment.at + 1)
      .filter((one) => one.kind === 'event' && one.node === 0 && one.event === moment.event).length;
    if (state + count > STATES_MAX) return null;
    for (let step = 1; step < count; step += 1, state += 1) sections.push(setState(moment.event, state, state + 1));
    const ioType = moment.ioType === null ? [] : [`iotype = "${moment.ioType}"`];
    sections.push(
      ['[inject-error]', `event = "${moment.event}"`, `state = "${state}"`, ...ioType, `errno = "${Errno[errno]}"`]
        .concat(`once = "${once ? 'on' : 'off'}"`, '')
        .join('\n'),
    );
    if (injections.length > 1) {
      sections.push(setState(moment.event, state, state + 1));
      state += 1;
    }
    from = moment.at + 1;
  }
  return sections.join('\n');
}

function setState(event: string, from: number, to: number): string {
  return ['[set-state]', `event = "${event}"`, `state = "${from}"`, `new_state = "${to}"`, ''].join('\n');
}

/**
 * A request to a file is said by the last event before it and by its kind, if no other request of that kind is in
 * between.
 */
function momentOf(point: Point, passed: readonly Point[]): Moment | null {
  const at = passed.findIndex((one) => JSON.stringify(one) === JSON.stringify(point));
  if (at < 0) return null;
  if (point.kind === 'event') {
    return point.node === 0 ? { event: point.event, nth: point.nth, at, ioType: null } : null;
  }
  const ioType = ioTypes[point.request];
  if (point.disk !== 0 || ioType === undefined) return null;
  for (let index = at - 1; index >= 0; index -= 1) {
    const before = passed[index] as Point;
    if (before.kind === 'request' && before.disk === 0 && before.request === point.request) return null;
    if (before.kind !== 'event' || before.node !== 0) continue;
    return { event: before.event, nth: before.nth, at: index, ioType };
  }
  return null;
}
