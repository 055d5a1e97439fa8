/** `check`: whether the metadata of the image is sound, and repairs. Not in qemu-io. */
import type { CheckRepair } from '../../block/driver.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { CommandFailure, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable, setting, textSetting } from '../words/option-table.ts';

const repairs: readonly CheckRepair[] = ['leaks', 'all'];

const options = new OptionTable({
  isDiskAlone: flag('d', 'what is on disk alone, without what is to be written'),
  json: flag('j', 'as JSON, as qemu-img check has it'),
  node: textSetting('n', 'node', 'of this node instead of the image: "nodes" lists them'),
  repair: setting('r', 'leaks|all', 'repair leaks, or all errors, in the open image', repairArgument, {
    values: repairs,
  }),
});

export const check = {
  name: 'check',
  oneline: 'checks the metadata of the image, and repairs it',
  minArgs: 0,
  maxArgs: 6,
  needsFile: true,
  looksOnly: (argv) => !argv.some((word) => /^-[a-z]*r/.test(word)),
  options,
  help: [
    'Says what qemu-img check would say if the image were flushed and closed now, and with -d if the power were cut now.',
    'Nothing is flushed for that, no event is fired, and no lock is waited for: it works while requests are suspended.',
    'Clusters that a request in flight has taken count as leaked until it has entered them; "who" tells which those are.',
    '  check            fails if there are errors; leaks alone are no failure',
    '  check -r all     repairs the open image; no request may be in flight',
  ],
  async run(session, argv) {
    const { options: given, words } = options.parse(session, argv);
    if (words.operands.length > 0) throw usage();
    const { checkAndReport } = await import('../inspect/show-check.ts');
    await checkAndReport(session, given);
  },
} satisfies Command;

function repairArgument(session: SessionState, text: string): CheckRepair {
  const repair = repairs.find((candidate) => candidate === text);
  if (repair !== undefined) return repair;
  session.error("-r expects a mode: 'leaks' or 'all'");
  throw new CommandFailure(Errno.EINVAL);
}
