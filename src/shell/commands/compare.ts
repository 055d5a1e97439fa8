/** `compare`: whether another image has the same content, as `qemu-img compare` says it. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';

const options = new OptionTable({
  isStrict: flag('s', 'strict: lengths and allocation have to be the same, too'),
  format: textSetting('F', 'fmt', 'the format of file; it is probed without'),
});

export const compare = {
  name: 'compare',
  args: 'file',
  oneline: 'compares the content of the image with that of another one',
  minArgs: 1,
  maxArgs: 4,
  needsFile: true,
  options,
  help: [
    'Says what qemu-img compare says of the open image and file, and fails if they differ. What one of them has behind the',
    'end of the other must be zero. Both are read by requests; those to the open image fire its events.',
  ],
  operands: ['file'],
  async run(session, argv) {
    const { options: given, words } = options.parse(session, argv);
    const { operands } = words;
    const [filename] = operands;
    if (filename === undefined || operands.length > 1) throw usage();
    const { compareWith } = await import('../images/compare-images.ts');
    await compareWith(session, filename, given);
  },
} satisfies Command;
