/** `where`: the way of a guest offset through the tables. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';

/** The options of commands that show metadata. */
export const inspectOptions = new OptionTable({
  json: flag('j', 'as JSON'),
  node: textSetting('n', 'node', 'of this node instead of the image: "nodes" lists them'),
});

export const where = {
  name: 'where',
  args: 'off',
  oneline: 'shows the way of a guest offset through the tables to the file',
  minArgs: 1,
  maxArgs: 4,
  needsFile: true,
  looksOnly: true,
  options: inspectOptions,
  help: [
    'Each step from the offset on the disk to the place of its data: the entries of the L1 and L2 tables, the refcount,',
    'a request that has taken a cluster and not yet entered it, and so on through backing files to the file of the host.',
    'ENTRY is what is in memory, ON DISK what is in the file now, if that is something else. Nothing is changed by',
    'looking, no event is fired, and no lock is waited for: it works while requests are suspended.',
    '  where 64k    where the data at 64 KiB is',
  ],
  operands: ['offset'],
  async run(session, argv) {
    const { options, words } = inspectOptions.parse(session, argv);
    const { operands } = words;
    if (operands.length !== 1) throw usage();
    const { showWay } = await import('../inspect/show-way.ts');
    await showWay(session, operands, options);
  },
} satisfies Command;
