/** `break`: stops requests that reach an event. What qemu-io takes it does as qemu-io; conditions and `-p` are ours. */
import { setBreakpoint } from '../../block/debug/debug.ts';
import { BlockError, errnoOf } from '../../block/error.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { type Command, CommandFailure, type OperandKind } from '../command.ts';
import { isSetting, settingCandidates, settingsFrom } from '../words/rule-words.ts';
import type { Session } from '../session.ts';

export const breakCommand = {
  name: 'break',
  args: 'event tag',
  oneline: 'sets a breakpoint on event and tags the stopped request as tag',
  minArgs: 2,
  maxArgs: 2,
  acceptsAlso: (argv) => breakWords(argv) !== null,
  needsFile: true,
  changesPicture: true,
  options: 'p',
  optionHelp: { p: 'it stays, and stops every request that comes to the event' },
  help: [
    'Stops the first request that comes to the event; wait_break waits for that, resume lets it go on.',
    '  break [-p] event tag key=value...    stops only where conditions hold',
    'Conditions are state=N, and those that "help rule" says: nth, times, probability, offset, node.',
    '  break pwritev A offset=64k..128k     the first write to these 64 KiB',
    '  break pwritev A nth=3                the third write',
  ],
  operands: operandKind,
  run: runBreak,
} satisfies Command;

interface Words {
  readonly event: string;
  readonly tag: string;
  readonly settings: readonly string[];
  readonly stays: boolean;
}

/** The words of a call that qemu-io would refuse for their number; null if they are nothing of ours either. */
function breakWords([, ...words]: readonly string[]): Words | null {
  if (words.length < 3) return null;
  const [event, tag, ...settings] = words.filter((word) => word !== '-p');
  if (event === undefined || tag === undefined || !settings.every(isSetting)) return null;
  return { event, tag, settings, stays: words.includes('-p') };
}

function runBreak(session: Session, argv: string[]): void {
  const [, event = '', tag = ''] = argv;
  const { settings, stays, ...place } = breakWords(argv) ?? { event, tag, settings: [], stays: false };
  const conditions = settingsFrom(settings);
  for (const name of ['event', 'tag']) {
    if (conditions.has(name)) throw new BlockError(Errno.EINVAL, `'${name}' is given twice`);
  }
  if (stays && !conditions.has('once')) conditions.set('once', 'off');
  try {
    setBreakpoint(session.top, place.event, place.tag, conditions);
    session.tags.add(place.tag);
  } catch (error) {
    const errno = errnoOf(error);
    // Conditions that make no sense are not known to qemu-io, and need more words.
    if (errno === Errno.EINVAL) throw error;
    session.output.stdout(`Could not set breakpoint: ${strerror(errno)}\n`);
    throw new CommandFailure(errno);
  }
}

function operandKind(session: Session, operands: readonly string[], word: string): OperandKind {
  if (operands.length === 0) return 'event';
  if (operands.length === 1) return 'word';
  return settingCandidates(session, 'suspend', word).filter((candidate) => !/^(?:event|tag)=/.test(candidate));
}
