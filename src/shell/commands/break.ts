/** `break`: suspends requests at an event. What qemu-io accepts works as there; conditions and `-p` are ours. */
import { breakpointPort } from '../../block/debug/port.ts';
import { BlockError, errnoOf } from '../../block/error.ts';
import { Errno, strerror } from '../../util/errno.ts';
import type { Command, OperandKind } from '../command.ts';
import { CommandFailure, hinted, usage } from '../failure.ts';
import { eventNames } from '../../block/events/events.ts';
import { hintClosest } from '../words/closest.ts';
import { freeTag } from '../words/tags.ts';
import { hintSettings, isSetting, settingCandidates, settingsFrom } from '../words/rule-words.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable } from '../words/option-table.ts';

const options = new OptionTable({
  persistent: flag('p', 'persistent: suspends every request that reaches the event', { isHidden: true }),
  isLog: flag('l', 'a log point: prints a line with the text in place of the tag, and requests go on', {
    isHidden: true,
  }),
});

export const breakCommand = {
  name: 'break',
  args: 'event tag',
  oneline: 'sets a breakpoint on event and tags the stopped request as tag',
  minArgs: 2,
  maxArgs: 2,
  acceptsAlso: acceptsOurs,
  explainCount: (session, [, , , ...words]) => hintSettings(session, words),
  needsFile: true,
  options,
  help: [
    'Suspends the first request that reaches the event; wait_break waits for that, resume lets it go on.',
    '  break [-p] event tag key=value...    suspends only where conditions hold',
    '  break -l event text [key=value...]   a log point: prints a line each time, and requests go on',
    'Conditions are state=N, and those that "help rule" says: nth, times, probability, offset, node, request, op. With iotype=',
    'or sector= the request is suspended behind its event, before its first I/O to the file that is of this kind, or touches',
    'this sector of the file.',
    '  break pwritev A offset=64k..128k     the first write to these 64 KiB',
    '  break pwritev A nth=3                the third write',
    '  break pwritev A request=w5           only request w5; op=write any write',
    '  break write_aio A iotype=write       where the data of a write is about to be written into the file',
    '  break * A                            at any event, once; "step" goes on from there',
    '  break -l * event op=write            a line for each event of each write',
    'On a terminal, and in files of source, the tag may be left out: the first free letter is taken, and said.',
  ],
  operands: operandKind,
  run: runBreak,
} satisfies Command;

/** A call, parsed. */
interface Words {
  readonly event: string;
  readonly tag: string;
  readonly settings: readonly string[];
  readonly persistent: boolean;
  /** A log point: the tag is its text. */
  readonly isLog: boolean;
}

/** Whether words that are not two, as qemu-io wants them, are in our form. */
function acceptsOurs(argv: readonly string[], session: SessionState): boolean {
  if (session.acceptsExtensions && (argv.length === 2 || argv[1]?.startsWith('-') === true)) return true;
  const [event, tag, ...settings] = options.operandsOf(argv, session.context.compat) ?? [];
  return event !== undefined && tag !== undefined && settings.every(isSetting);
}

/** Two words are event and tag, whatever they begin with, unless the first can be neither: no event is called -p. */
function parseWords(session: SessionState, argv: string[]): Words {
  const [, first = '', second] = argv;
  const isQemus = argv.length === 3 && !(session.acceptsExtensions && first.startsWith('-'));
  if (isQemus && second !== undefined)
    return { event: first, tag: second, settings: [], persistent: false, isLog: false };
  const parsed = options.parse(session, argv);
  const [event, given, ...settings] = parsed.words.operands;
  if (event === undefined || (parsed.options.isLog && given === undefined)) throw usage();
  const tag = given ?? freeTag(session);
  if (given === undefined) session.hint(`the tag is ${tag}`);
  return { event, tag, settings, ...parsed.options };
}

function runBreak(session: SessionState, argv: string[]): void {
  const { settings, persistent, ...place } = parseWords(session, argv);
  const conditions = settingsFrom(settings);
  for (const name of ['event', 'tag']) {
    if (conditions.has(name)) throw new BlockError(Errno.EINVAL, `'${name}' is given twice`);
  }
  if (persistent && !place.isLog && !conditions.has('once')) conditions.set('once', 'off');
  try {
    const port = breakpointPort(session.top);
    if (place.isLog) {
      const number = port.setLogPoint(place.event, place.tag, conditions);
      session.hint(`the log point is rule ${number}; "rule remove ${number}" removes it`);
    } else {
      port.setBreakpoint(place.event, place.tag, conditions);
      session.tags.add(place.tag);
    }
  } catch (error) {
    const errno = errnoOf(error);
    // qemu-io has no conditions, so the message is ours.
    if (error instanceof BlockError && errno === Errno.EINVAL) {
      throw hinted(session, error, () => hintSettings(session, settings));
    }
    session.output.stdout(`Could not set breakpoint: ${strerror(errno)}\n`);
    if (errno === Errno.ENOENT) {
      session.hint(`there is no event '${place.event}'; "help event" lists them`);
      hintClosest(session, place.event, eventNames);
    } else if (errno === Errno.ENOTSUP) {
      session.hint('breakpoints need blkdebug: open the image as "blkdebug::FILE", or start blkscope with -D FILE');
    }
    throw new CommandFailure(errno);
  }
}

function operandKind(session: SessionState, operands: readonly string[], word: string): OperandKind {
  if (operands.length === 0) return 'event';
  if (operands.length === 1) return 'word';
  return settingCandidates(session, 'suspend', word).filter((candidate) => !/^(?:event|tag)=/.test(candidate));
}
