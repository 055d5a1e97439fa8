/** `goto` and `back`: lead a session in a sandbox to another moment of it. Not in qemu-io. */
import { parseLong } from '../../util/size.ts';
import type { Command } from '../command.ts';
import { refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import type { Place } from '../session-timeline.ts';
import { sayArrival, timelineOf } from '../words/moments.ts';
import { check } from './check.ts';

/** The checks that `goto -1 until` takes. */
const CHECK = 'check';

export const goTo = {
  name: 'goto',
  args: '#event|-N|name, goto -1 until check',
  oneline: 'leads to another moment of the session',
  minArgs: 1,
  maxArgs: 8,
  needsFile: false,
  polls: true,
  help: [
    'Only in a sandbox (blkscope --sandbox FILE). The session runs again, in silence, up to the moment: suspended requests,',
    'breakpoints, rules with their counters and what caches hold are as they were. At an event its request is suspended, under',
    'a tag that nothing else has, and nothing goes on until a command that changes something; -D gives events a node that',
    'can suspend. Commands that only look keep the time line; any other begins a new one, and "goto last" leads to the end of',
    'the one before.',
    '  goto #412              the moment of an event, as "events" numbers them',
    '  goto -1                one event back',
    '  goto name              a checkpoint; also start, end and last',
    '  goto -1 until check    the last event before the check fails: "step" does the damage',
    'The last one takes the options of check, but -r. It looks at the ends of commands first and then at the events of one: a',
    'check that fails only for a while may be missed. The session must run again as it did: a command that was interrupted, or',
    'has read a file of the host that has changed since, ends the way.',
  ],
  operands: (session, before) => (before.length > 0 ? ['until', CHECK] : places(session)),
  async run(session, [, text = '', ...words]) {
    sayArrival(session, await timelineOf(session).goTo(placeOf(session, text, words)));
  },
} satisfies Command;

export const back = {
  name: 'back',
  args: '[N]',
  oneline: 'leads to before the last command, or the last N',
  minArgs: 0,
  maxArgs: 1,
  needsFile: false,
  polls: true,
  help: [
    'Only in a sandbox (blkscope --sandbox FILE). The session runs again, in silence, up to there: see "help goto". Commands',
    'that only look do not count.',
  ],
  operands: ['word'],
  async run(session, [, text = '1']) {
    const count = parseLong(text);
    if (count === undefined || count < 1) throw refuse(session, `${text} is not a number of commands`);
    sayArrival(session, await timelineOf(session).goBack(Number(count)));
  },
} satisfies Command;

function places({ timeline }: SessionState): string[] {
  return timeline === null ? [] : ['-1', ...timeline.checkpoints.map(({ name }) => name)];
}

function placeOf(session: SessionState, text: string, words: readonly string[]): Place {
  const [until, command, ...options] = words;
  if (until !== undefined) {
    if (until !== 'until' || command !== CHECK || text !== '-1') throw usage();
    if (!check.looksOnly(options)) throw refuse(session, 'a check that repairs changes the image');
    return { kind: 'before failure', line: [CHECK, ...options].join(' ') };
  }
  const number = /^(#|-|)(\d{1,15})$/.exec(text);
  if (number === null) return { kind: 'checkpoint', name: text };
  const count = Number(number[2]);
  return number[1] === '-' ? { kind: 'events back', count } : { kind: 'event', number: count };
}
