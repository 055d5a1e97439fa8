/** `commit`: writes what the image holds into its backing file, as `qemu-img commit` does. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { flag, OptionTable, textSetting } from '../words/options.ts';

const options = new OptionTable({
  isQuiet: flag('q', 'say nothing'),
  keepsOverlay: flag('d', 'leave the image as it is, and do not empty it'),
  showsProgress: flag('p', 'show how far it is'),
  base: textSetting('b', 'base', 'this image of the chain gets it, by its file name; the image is left as it is'),
});

export const commit = {
  name: 'commit',
  oneline: 'writes the content of the image into its backing file',
  minArgs: 0,
  maxArgs: 5,
  needsFile: true,
  options,
  help: [
    'The backing file gets all that the open image itself holds, and becomes as long if it is shorter; then the image is',
    'emptied, so that the backing file shows through. The backing file is open for writing meanwhile. No request may be in',
    'flight. It reads and writes by requests: events are fired, and rules count. With -b all that the images above the base hold',
    'goes into the base; those between are of no use afterwards.',
    '  commit -b base.raw    into the image of that name',
  ],
  async run(session, argv) {
    const { options: given, operands } = options.parse(session, argv);
    if (operands.length > 0) throw usage();
    const { commitImage } = await import('../images/commit-image.ts');
    const { base, keepsOverlay, showsProgress, isQuiet } = given;
    await commitImage(session, {
      base,
      keepsOverlay: keepsOverlay || base !== null,
      showsProgress: showsProgress && !isQuiet,
    });
    if (!isQuiet) session.output.stdout('Image committed.\n');
  },
} satisfies Command;
