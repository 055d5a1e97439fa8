/** `state`: the state of blkdebug's state machine and how it came about, or another one. Not in qemu-io. */
import type { RuleBook, StateChange } from '../../block/debug/rule-book.ts';
import { ageText } from '../../util/compact.ts';
import { parseLong } from '../../util/size.ts';
import { CommandOptions, refuse, usage } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import { ruleBook } from '../words/rule-words.ts';
import type { Session } from '../session.ts';
import { type Column, printTable } from '../output/table.ts';

export const state = {
  name: 'state',
  args: '[-aj] [-n node] [state]',
  oneline: "shows or sets the state of blkdebug's rules",
  minArgs: 0,
  maxArgs: 5,
  needsFile: true,
  changesPicture: true,
  options: 'ajn:',
  optionHelp: {
    a: 'all changes that are remembered, up to 256, in place of the latest 10',
    j: 'as JSON',
    n: 'the state of this node; without it of the one that breakpoints go to',
  },
  help: [
    'Shows the state and its latest changes, oldest first: from which state to which, by which rule at which event of which',
    'request, and how long ago. The state is 1 when an image is opened.',
    '  state 3    sets it to 3; rules of state 3 count from now on',
  ],
  run: runState,
} satisfies Command;

const SHOWN = 10;

function runState(session: Session, argv: string[]): void {
  const options = new CommandOptions(session, argv, state.options);
  let all = false;
  let json = false;
  let node: string | null = null;
  while (options.next()) {
    const { name, argument } = options;
    if (name === 'a') all = true;
    else if (name === 'j') json = true;
    else if (name === 'n') node = argument;
  }
  const [wanted, ...more] = options.operands;
  if (more.length > 0) throw usage();
  const book = ruleBook(session, node);
  if (wanted !== undefined) book.setState(stateArgument(session, wanted));
  else showState(session, book, all ? book.stateChanges : book.stateChanges.slice(-SHOWN), json);
}

/** States have 32 bits, with a sign. */
function stateArgument(session: Session, text: string): number {
  const value = parseLong(text);
  if (value === undefined || value < -(2 ** 31) || value >= 2 ** 31) throw refuse(session, `${text} is not a state`);
  return Number(value);
}

interface Row {
  readonly from: number;
  readonly to: number;
  /** 0: a command did it. */
  readonly rule: number;
  readonly event: string | null;
  readonly request: number;
  readonly seconds: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'FROM', text: ({ from }) => String(from), alignRight: true },
  { title: 'TO', text: ({ to }) => String(to), alignRight: true },
  { title: 'BY', text: ({ rule }) => (rule === 0 ? 'command' : `rule ${rule}`) },
  { title: 'EVENT', text: ({ event }) => event ?? '' },
  { title: 'REQUEST', text: ({ rule, request }) => (rule === 0 ? '' : String(request)), alignRight: true },
  {
    title: 'SINCE',
    text: ({ seconds }, brief) => (brief ? ageText(seconds * 1e9) : String(seconds)),
    alignRight: true,
  },
];

function showState(session: Session, book: RuleBook, changes: readonly StateChange[], json: boolean): void {
  const now = session.loop.clock.nowNs();
  const rows = changes.map(({ timeNs, ...change }) => ({
    ...change,
    seconds: Math.round((now - timeNs) / 1e6) / 1e3,
  }));
  if (json) {
    session.output.stdout(`${JSON.stringify({ state: book.state, changes: rows })}\n`);
    return;
  }
  session.output.stdout(`state ${book.state}\n`);
  if (rows.length > 0) printTable(session, rows, columns, { json, none: '' });
}
