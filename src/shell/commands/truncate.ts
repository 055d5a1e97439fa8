/** `truncate`: sets the image's length. */
import type { Preallocation } from '../../block/driver.ts';
import { Perm, QEMU_MAX_LENGTH } from '../../block/flags.ts';
import { Errno } from '../../util/errno.ts';
import { CommandOptions, sizeArgument, usage } from '../words/arguments.ts';
import { type Command, CommandFailure } from '../command.ts';
import type { Session } from '../session.ts';

const preallocations: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];

export const truncate = {
  name: 'truncate',
  aliases: ['t'],
  args: '[-m prealloc_mode] off',
  oneline: 'truncates the current file at the given offset',
  minArgs: 1,
  maxArgs: 3,
  needsFile: true,
  perm: Perm.WRITE | Perm.RESIZE,
  options: 'm:',
  optionValues: { m: preallocations },
  optionHelp: { m: `how new space is made: ${preallocations.join(', ')}` },
  help: [
    'Makes the image off bytes long. New space reads as zeroes.',
    '  truncate -m full 2G    makes it 2 GiB, all written',
  ],
  operands: ['length'],
  run: runTruncate,
} satisfies Command;

async function runTruncate(session: Session, argv: string[]): Promise<void> {
  let preallocation: Preallocation = 'off';
  const options = new CommandOptions(session, argv, truncate.options);
  while (options.next()) {
    const { argument } = options;
    const mode = preallocations.find((candidate) => candidate === argument);
    if (mode === undefined) {
      session.error(`Invalid preallocation mode '${argument}'`);
      throw new CommandFailure(Errno.EINVAL);
    }
    preallocation = mode;
  }
  const [text] = options.operands;
  // qemu-io crashes where this prints the usage.
  if (text === undefined) throw usage();
  const bytes = sizeArgument(session, text, argv[1]);
  if (bytes > QEMU_MAX_LENGTH) {
    session.error(`offset(${bytes}) exceeds maximum(${BigInt(QEMU_MAX_LENGTH)})`);
    throw new CommandFailure(Errno.EIO);
  }
  await session.image.truncate(Number(bytes), false, preallocation, 0);
}
