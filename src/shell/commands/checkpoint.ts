/** `checkpoint`: gives the present moment of a session in a sandbox a name. Not in qemu-io. */
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { type Column, printTable } from '../output/table.ts';
import type { Checkpoint } from '../session-timeline.ts';
import { flag, OptionTable } from '../words/option-table.ts';
import { commandOf, timelineOf } from '../words/moments.ts';

const options = new OptionTable({
  json: flag('j', 'the list as JSON'),
  lists: flag('l', 'list the checkpoints'),
});

export const checkpoint = {
  name: 'checkpoint',
  args: '[name]',
  oneline: 'gives the present moment a name, for goto',
  minArgs: 0,
  maxArgs: 2,
  needsFile: false,
  polls: true,
  options,
  help: [
    'Only in a sandbox (blkscope --sandbox FILE). A moment without a name gets one: c1, c2, … It costs nothing: "goto name"',
    'runs the commands up to there again. Three are there by themselves: start, end (of the time line) and last: the end of',
    'the time line that was left when another command was given after "goto" or "back".',
  ],
  operands: ['word'],
  async run(session, argv) {
    const { options: given, words } = options.parse(session, argv);
    const timeline = timelineOf(session);
    const [name, ...more] = words.operands;
    if (more.length > 0 || (given.lists && name !== undefined)) throw usage();
    if (given.lists || given.json) {
      printTable(session, timeline.checkpoints, columns, { json: given.json, none: 'there is no checkpoint' });
      return;
    }
    const made = await timeline.mark(name ?? null);
    session.output.stdout(`checkpoint ${made.name}: ${commandOf(made)}, #${made.events}\n`);
  },
} satisfies Command;

const columns: readonly Column<Checkpoint>[] = [
  { title: 'CHECKPOINT', text: ({ name }) => name },
  { title: 'COMMANDS', text: ({ commands }) => String(commands), alignRight: true },
  { title: 'EVENTS', text: ({ events }) => String(events), alignRight: true },
  { title: 'LAST COMMAND', text: ({ line, isWithin }) => (isWithin ? `within ${line}` : line) },
];
