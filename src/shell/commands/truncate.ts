/** `truncate`: sets the image's length. */
import type { Preallocation } from '../../block/driver.ts';
import { Perm, QEMU_MAX_LENGTH } from '../../block/flags.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { CommandFailure, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument } from '../words/arguments.ts';
import { OptionTable, setting } from '../words/option-table.ts';

const preallocations: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];

const options = new OptionTable({
  preallocation: setting('m', 'prealloc_mode', `how new space is made: ${preallocations.join(', ')}`, modeArgument, {
    values: preallocations,
  }),
});

export const truncate = {
  name: 'truncate',
  aliases: ['t'],
  args: 'off',
  oneline: 'truncates the current file at the given offset',
  minArgs: 1,
  maxArgs: 3,
  needsFile: true,
  perm: Perm.WRITE | Perm.RESIZE,
  options,
  help: [
    'Makes the image off bytes long. New space reads as zeroes.',
    '  truncate -m full 2G    makes it 2 GiB, all written',
  ],
  operands: ['length'],
  run: runTruncate,
} satisfies Command;

function modeArgument(session: SessionState, text: string): Preallocation {
  const mode = preallocations.find((candidate) => candidate === text);
  if (mode !== undefined) return mode;
  session.error(`Invalid preallocation mode '${text}'`);
  throw new CommandFailure(Errno.EINVAL);
}

async function runTruncate(session: SessionState, argv: string[]): Promise<void> {
  const parsed = options.parse(session, argv);
  const [text] = parsed.words.operands;
  // qemu-io crashes where this prints the usage.
  if (text === undefined) throw usage();
  const bytes = sizeArgument(session, text, argv[1]);
  if (bytes > QEMU_MAX_LENGTH) {
    session.error(`offset(${bytes}) exceeds maximum(${BigInt(QEMU_MAX_LENGTH)})`);
    throw new CommandFailure(Errno.EIO);
  }
  await session.image.truncate(Number(bytes), { preallocation: parsed.options.preallocation ?? 'off' });
}
