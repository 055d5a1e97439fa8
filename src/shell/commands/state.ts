/** `state`: shows the state of blkdebug's state machine with its latest changes, or sets it. Not in qemu-io. */
import type { Rules, StateChange } from '../../block/debug/rules.ts';
import { requestName } from '../../util/compact.ts';
import { parseLong } from '../../util/size.ts';
import { refuse, usage } from '../failure.ts';
import type { Command } from '../command.ts';
import { rulesOf } from '../words/rule-words.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';
import { type Age, secondsBetween, sinceColumn } from '../output/columns.ts';
import { type Column, printTable } from '../output/table.ts';

const options = new OptionTable({
  all: flag('a', 'all changes that are kept, up to 256, instead of the latest 10'),
  json: flag('j', 'as JSON'),
  node: textSetting('n', 'node', 'the state of this node; without it of the one that breakpoints go to'),
});

export const state = {
  name: 'state',
  args: '[state]',
  oneline: "shows or sets the state of blkdebug's rules",
  minArgs: 0,
  maxArgs: 5,
  needsFile: true,
  looksOnly: (argv) => argv.slice(1).every((word, at) => word.startsWith('-') || /^-[a-z]*n$/.test(argv[at] ?? '')),
  options,
  help: [
    'Shows the state and its latest changes, oldest first: from which state to which, by which rule at which event of which',
    'request, and how long ago. The state is 1 when an image is opened.',
    '  state 3    sets it to 3; rules with state=3 are evaluated from now on',
  ],
  run: runState,
} satisfies Command;

const SHOWN = 10;

function runState(session: SessionState, argv: string[]): void {
  const parsed = options.parse(session, argv);
  const { all, json, node } = parsed.options;
  const [wanted, ...more] = parsed.words.operands;
  if (more.length > 0) throw usage();
  const rules = rulesOf(session, node);
  if (wanted !== undefined) rules.setState(stateArgument(session, wanted));
  else showState(session, rules, all ? rules.stateChanges : rules.stateChanges.slice(-SHOWN), json);
}

/** States have 32 bits, with a sign. */
function stateArgument(session: SessionState, text: string): number {
  const value = parseLong(text);
  if (value === undefined || value < -(2 ** 31) || value >= 2 ** 31) throw refuse(session, `${text} is not a state`);
  return Number(value);
}

type Row = Omit<StateChange, 'timeNs'> & Age;

const columns: readonly Column<Row>[] = [
  { title: 'FROM', text: ({ from }) => String(from), alignRight: true },
  { title: 'TO', text: ({ to }) => String(to), alignRight: true },
  { title: 'BY', text: ({ rule }) => (rule === 0 ? 'command' : `rule ${rule}`) },
  { title: 'EVENT', text: ({ event }) => event ?? '' },
  {
    title: 'REQUEST',
    text: ({ rule, request, operation }) => (rule === 0 || request === 0 ? '' : requestName(operation, request)),
  },
  sinceColumn,
];

function showState(session: SessionState, rules: Rules, changes: readonly StateChange[], json: boolean): void {
  const now = session.loop.clock.nowNs();
  const rows = changes.map(({ timeNs, ...change }) => ({
    ...change,
    seconds: secondsBetween(timeNs, now),
  }));
  if (json) {
    session.output.stdout(`${JSON.stringify({ state: rules.state, changes: rows })}\n`);
    return;
  }
  session.output.stdout(`state ${rules.state}\n`);
  if (rows.length > 0) printTable(session, rows, columns, { json, none: '' });
}
