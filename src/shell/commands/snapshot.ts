/** `snapshot`: the snapshots within the image, as `qemu-img snapshot` has them. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';

const options = new OptionTable({
  lists: flag('l', 'list them; the default'),
  json: flag('j', 'list them as JSON'),
  applied: textSetting('a', 'snapshot', 'make the disk what it was in this one, by number or name'),
  created: textSetting('c', 'name', 'take one'),
  deleted: textSetting('d', 'name', 'delete it'),
});

export const snapshot = {
  name: 'snapshot',
  oneline: 'lists, takes, applies or deletes a snapshot within the image',
  minArgs: 0,
  maxArgs: 3,
  needsFile: true,
  looksOnly: (argv) => argv.slice(1).every((word) => /^-[lj]+$/.test(word)),
  options,
  help: [
    'Does what qemu-img snapshot does, to the open image. It waits until no request is in flight.',
    '  snapshot -c before    takes one',
    '  snapshot -a before    the disk is again what it was',
  ],
  async run(session, argv) {
    const { options: given, words } = options.parse(session, argv);
    const { applied, created, deleted } = given;
    const actions = [applied, created, deleted].filter((name) => name !== null);
    if (words.operands.length > 0 || actions.length > 1 || (actions.length === 1 && (given.lists || given.json)))
      throw usage();
    const { changeSnapshots, listSnapshots } = await import('../images/snapshot-work.ts');
    if (actions.length === 0) listSnapshots(session, given.json);
    else await changeSnapshots(session, { applied, created, deleted });
  },
} satisfies Command;
