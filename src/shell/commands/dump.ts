/** `dump`: the tables of the metadata. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { inspectOptions } from './where.ts';

/** The tables that formats have; each format says which of them are its own. */
const structures = ['header', 'l1', 'l2', 'refcounts', 'snapshots', 'bitmaps'] as const;

export const dump = {
  name: 'dump',
  args: `${structures.join('|')} [off [len]]`,
  oneline: 'lists the entries of a table of the metadata',
  minArgs: 1,
  maxArgs: 6,
  needsFile: true,
  looksOnly: true,
  options: inspectOptions,
  help: [
    'Entries that are zero in memory and on disk are left out. off and len choose a part: of the disk for l1 and l2, of the',
    'file for refcounts. ON DISK is shown where it is not what is in memory: then the entry is still to be written.',
    '  dump header           every field of the header, and its extensions',
    '  dump l2 1M 64k        the L2 entries of the disk from 1 MiB on',
    '  dump refcounts        runs of clusters with their refcounts, and how often they are referenced',
  ],
  operands: [structures, 'offset', 'length'],
  async run(session, argv) {
    const { options, words } = inspectOptions.parse(session, argv);
    const { operands } = words;
    if (operands.length < 1 || operands.length > 3) throw usage();
    const { showStructure } = await import('../inspect/show-structure.ts');
    await showStructure(session, operands, options);
  },
} satisfies Command;
