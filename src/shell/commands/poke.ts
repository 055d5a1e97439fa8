/** `poke`: writes bytes into the file below the image. Not in qemu-io. */
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument } from '../words/arguments.ts';
import { OptionTable, textSetting } from '../words/option-table.ts';

const options = new OptionTable({
  node: textSetting('n', 'node', 'into the file of this node instead of the image: "nodes" lists them'),
});

/** More than a line holds. */
const MAX_BYTES = 1 << 20;

export const poke = {
  name: 'poke',
  args: 'off hex..',
  oneline: 'writes bytes into the file below the image',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  options,
  help: [
    'Damages or mends an image by hand: the bytes are written at an offset of the file itself, past the format, blkdebug and',
    'everything that is in flight. What is cached of the file does not change: close and open the image, or see with "where"',
    'what memory says and what the disk. The file does not become longer. Prints what was there before, and what is now.',
    '  poke 0x40000 80 00 00 00 00 05 00 00    an L2 entry',
  ],
  operands: ['offset', 'word'],
  async run(session, argv) {
    const parsed = options.parse(session, argv);
    const [offsetText, ...words] = parsed.words.operands;
    if (offsetText === undefined || words.length === 0) throw usage();
    const offset = Number(sizeArgument(session, offsetText));
    const bytes = bytesOf(session, words);
    const { pokeFile } = await import('../inspect/poke-file.ts');
    await pokeFile(session, parsed.options.node, offset, bytes);
  },
} satisfies Command;

function bytesOf(session: SessionState, words: readonly string[]): Buffer {
  const digits = words.map((word) => word.replace(/^0x/i, '')).join('');
  if (!/^([0-9a-f]{2})+$/i.test(digits)) {
    throw refuse(session, `${words.join(' ')} is no row of bytes: each has two hexadecimal digits`);
  }
  if (digits.length / 2 > MAX_BYTES) throw refuse(session, `more than ${MAX_BYTES} bytes`, Errno.E2BIG);
  return Buffer.from(digits, 'hex');
}
