/** `zone_open`, `zone_close`, `zone_finish`, `zone_reset`: what newer qemu-io answers for an image without zones. */
import { Errno, strerror } from '../../util/errno.ts';
import { refuse, sizeArgument } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import type { Session } from '../session.ts';

const shared = { args: 'offset len', minArgs: 2, maxArgs: 2, needsFile: true, operands: ['offset', 'length'] } as const;

export const zoneOpen = {
  ...shared,
  name: 'zone_open',
  aliases: ['zo'],
  oneline: 'explicit open a range of zones in zone block device',
  run: (session, argv) => manage(session, 'open', argv),
} satisfies Command;

export const zoneClose = {
  ...shared,
  name: 'zone_close',
  aliases: ['zc'],
  oneline: 'close a range of zones in zone block device',
  run: (session, argv) => manage(session, 'close', argv),
} satisfies Command;

export const zoneFinish = {
  ...shared,
  name: 'zone_finish',
  aliases: ['zf'],
  oneline: 'finish a range of zones in zone block device',
  run: (session, argv) => manage(session, 'finish', argv),
} satisfies Command;

export const zoneReset = {
  ...shared,
  name: 'zone_reset',
  aliases: ['zrs'],
  oneline: 'reset a zone write pointer in zone block device',
  run: (session, argv) => manage(session, 'reset', argv),
} satisfies Command;

function manage(session: Session, action: string, [, offsetText = '', bytesText = '']: string[]): never {
  const offset = Number(sizeArgument(session, offsetText));
  const bytes = Number(sizeArgument(session, bytesText));
  const isWithin = offset + bytes <= session.image.getLength();
  const errno = isWithin ? Errno.ENOTSUP : Errno.EIO;
  throw refuse(session, `zone ${action} failed: ${strerror(errno)}`, errno);
}
