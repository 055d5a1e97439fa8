/** `diff`: what a command has changed in the metadata. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { flag, OptionTable } from '../words/option-table.ts';

const options = new OptionTable({
  json: flag('j', 'as JSON'),
  marks: flag('m', 'compare with this moment from now on, not with the one before the last command'),
  ends: flag('o', 'off: keep no copy any more'),
});

export const diff = {
  name: 'diff',
  oneline: 'shows what the last command changed in the metadata',
  minArgs: 0,
  maxArgs: 3,
  needsFile: true,
  looksOnly: true,
  options,
  help: [
    'Each entry that is not what it was before the last command, in memory or on disk: header fields, refcounts, entries of',
    'L1 and L2 tables, snapshots, bitmaps. Commands that only look do not count as the last one. At a breakpoint it shows',
    'how far the request has come: at l2_update the refcount is written and the L2 entry is not.',
    'Its first use shows nothing: from then on all metadata is copied before each command, which takes time and memory as',
    'the tables are long (up to 64 MiB a copy, else it is refused). Until then it costs nothing.',
  ],
  async run(session, argv) {
    const { options: given, words } = options.parse(session, argv);
    if (words.operands.length > 0) throw usage();
    const { showChanges } = await import('../inspect/show-changes.ts');
    await showChanges(session, given);
  },
} satisfies Command;
