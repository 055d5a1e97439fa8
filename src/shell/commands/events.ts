/** `events`: the debug events that have fired, and how often. Not in qemu-io. */
import { eventFilter, noteText } from '../../block/events/event-filter.ts';
import { CAPACITY, type FiredEvent } from '../../block/events/history.ts';
import { eventNames } from '../../block/events/events.ts';
import { parseLong } from '../../util/size.ts';
import { refuse, usage } from '../failure.ts';
import type { Command } from '../command.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable, setting } from '../words/option-table.ts';
import { parentColumns, requestColumn } from '../output/columns.ts';
import { type Column, printTable } from '../output/table.ts';

const options = new OptionTable({
  all: flag('a', 'of all nodes; without it only those of the nodes with rules, if there are any'),
  counts: flag('c', 'how often each of them has fired, on nodes with rules and elsewhere'),
  json: flag('j', 'as JSON'),
  limit: setting('n', 'N', 'at most so many, 20 by default; the latest 1,024 are kept', countArgument),
});

export const events = {
  name: 'events',
  args: '[FILTER]',
  oneline: 'lists the debug events that have fired, or counts them',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  looksOnly: true,
  options,
  help: [
    'Lists the latest events, oldest first: number, event, the request that fired it, the node, and what it led to.',
    'FILTER is the name of a request (w7), the number of an event (#5), or a part of any other column.',
    '  events -n 5 alloc    the latest five with "alloc" in them',
    '  events w7            the events of the request w7 and of its parts',
    '  events ENOSPC        which requests a rule has failed with ENOSPC: of the guest at which offset, where in the file',
    '  events hazard        what must not happen to an image and did: see the reference of events',
    '  events -c            which of all events this session has reached, and which never',
  ],
  operands: ['event'],
  run: runEvents,
} satisfies Command;

const DEFAULT_COUNT = 20;

type Row = Omit<FiredEvent, 'onDebugNode' | 'notes'> & { readonly notes: readonly string[] };

const columns: readonly Column<Row>[] = [
  { title: 'NUMBER', text: ({ number }) => `#${number}`, alignRight: true },
  { title: 'EVENT', text: ({ event }) => event },
  requestColumn,
  { title: 'OPERATION', text: ({ operation }) => operation },
  { title: 'NODE', text: ({ node }) => node },
  { title: 'LED TO', text: ({ notes }) => notes.join(', ') },
];

function runEvents(session: SessionState, argv: string[]): void {
  const parsed = options.parse(session, argv);
  const { all, counts, json, limit } = parsed.options;
  const [filter = '', ...more] = parsed.words.operands;
  if (more.length > 0) throw usage();
  if (counts) printCounts(session, filter, json);
  else printLatest(session, { all, json, filter, limit: limit ?? DEFAULT_COUNT });
}

function printLatest(
  session: SessionState,
  { all, json, filter, limit }: { all: boolean; json: boolean; filter: string; limit: number },
): void {
  const { rows, leftOut } = latest(session, all, filter, limit);
  const none = noneText(session, filter);
  printTable(session, rows, [...columns, ...parentColumns(rows, session.output.isTerminal)], { json, none });
  if (leftOut > 0 && !json) session.hint(`${leftOut} more of nodes without rules; "events -a" shows them`);
}

function countArgument(session: SessionState, text: string): number {
  const count = parseLong(text);
  if (count === undefined || count < 1) throw refuse(session, `${text} is not a number of events`);
  return Number(count);
}

function noneText(session: SessionState, filter: string): string {
  if (filter === '') return 'no event has fired';
  const [, number] = /^#?(\d+)$/.exec(filter) ?? [];
  if (number === undefined) return `no event of '${filter}' has fired`;
  const { total } = session.context.trace.history;
  if (Number(number) < 1 || Number(number) > total) return `there is no event #${number}; the latest is #${total}`;
  if (total - Number(number) >= CAPACITY) return `event #${number} is not kept any more`;
  return `event #${number} is of a node without rules; "events -a ${number}" shows it`;
}

/** The latest events, oldest first, and how many are left out among them since their nodes have no rules. */
function latest(
  session: SessionState,
  all: boolean,
  filter: string,
  limit: number,
): { rows: readonly Row[]; leftOut: number } {
  const { history } = session.context.trace;
  const onlyDebugNodes = !all && history.counts.onDebugNodes.some((count) => count > 0);
  const isWanted = eventFilter(filter, history.newestFirst());
  const rows: Row[] = [];
  let leftOut = 0;
  for (const fired of history.newestFirst()) {
    if (rows.length >= limit) break;
    if (!isWanted(fired)) continue;
    const { onDebugNode, notes, ...shown } = fired;
    if (onDebugNode || !onlyDebugNodes) rows.push({ ...shown, notes: notes.map(noteText) });
    else leftOut += 1;
  }
  return { rows: rows.toReversed(), leftOut };
}

interface CountRow {
  readonly event: string;
  readonly onDebugNodes: number;
  readonly elsewhere: number;
}

const countColumns: readonly Column<CountRow>[] = [
  { title: 'EVENT', text: ({ event }) => event },
  { title: 'WITH RULES', text: ({ onDebugNodes }) => String(onDebugNodes), alignRight: true },
  { title: 'ELSEWHERE', text: ({ elsewhere }) => String(elsewhere), alignRight: true },
  {
    title: '',
    text: ({ onDebugNodes, elsewhere }, brief) => (brief && onDebugNodes + elsewhere === 0 ? 'never' : ' '),
  },
];

function printCounts(session: SessionState, filter: string, json: boolean): void {
  const { onDebugNodes, elsewhere } = session.context.trace.history.counts;
  const rows = eventNames
    .map((event, at): CountRow => ({ event, onDebugNodes: onDebugNodes[at] ?? 0, elsewhere: elsewhere[at] ?? 0 }))
    .filter(({ event }) => event.includes(filter));
  printTable(session, rows, countColumns.slice(0, session.output.isTerminal ? 4 : 3), { json, none: 'no such event' });
}
