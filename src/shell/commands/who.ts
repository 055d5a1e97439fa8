/** `who`: what a cluster of the file is used for. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { inspectOptions } from './where.ts';

export const who = {
  name: 'who',
  args: 'hostoff [len]',
  oneline: 'shows what a place in the file is used for',
  minArgs: 1,
  maxArgs: 5,
  needsFile: true,
  looksOnly: true,
  options: inspectOptions,
  help: [
    'For each cluster of the file that the range touches (one byte without len): its refcount, and everything that refers',
    'to it: tables, guest data, snapshots, bitmaps, a request that has taken it. KNOWN tells whether the metadata in',
    'memory says so, that on disk, or both. A cluster with a refcount and without an owner is leaked.',
    '  who 0x50000    what the cluster at 0x50000 holds',
  ],
  operands: ['offset', 'length'],
  async run(session, argv) {
    const { options, words } = inspectOptions.parse(session, argv);
    const { operands } = words;
    if (operands.length < 1 || operands.length > 2) throw usage();
    const { showOwners } = await import('../inspect/show-owners.ts');
    await showOwners(session, operands, options);
  },
} satisfies Command;
