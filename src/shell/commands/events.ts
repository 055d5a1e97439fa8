/** `events`: the debug events that have fired, and how often. Not in qemu-io. */
import type { EventNote, FiredEvent } from '../../block/events/history.ts';
import { eventNames } from '../../block/events/events.ts';
import { errnoName } from '../../util/errno.ts';
import { parseLong } from '../../util/size.ts';
import { CommandOptions, refuse, usage } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import type { Session } from '../session.ts';
import { type Column, printTable } from '../output/table.ts';

export const events = {
  name: 'events',
  args: '[-acj] [-n N] [FILTER]',
  oneline: 'lists the debug events that have fired, or counts them',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  options: 'acjn:',
  optionHelp: {
    a: 'of all nodes; without it only those of the nodes with rules, if there are any',
    c: 'how often each of them has fired, on nodes with rules and elsewhere',
    j: 'as JSON',
    n: 'how many at most, 20 if it is not given; the latest 1,024 are remembered',
  },
  help: [
    'Lists the latest events, oldest first: its number, the event, the request that fired it, the node, and what it led',
    'to. FILTER is a part of any of that, or #N for the request N.',
    '  events -n 5 alloc    the latest five with "alloc" in them',
    '  events #7            what request 7 went through',
    '  events -c            which of all events this session has reached, and which never',
  ],
  operands: ['event'],
  run: runEvents,
} satisfies Command;

const DEFAULT_COUNT = 20;

type Row = Omit<FiredEvent, 'onDebugNode' | 'notes'> & { readonly notes: readonly string[] };

const columns: readonly Column<Row>[] = [
  { title: 'NUMBER', text: ({ number }) => String(number), alignRight: true },
  { title: 'EVENT', text: ({ event }) => event },
  { title: 'REQUEST', text: ({ request }) => (request === 0 ? '' : String(request)), alignRight: true },
  { title: 'OPERATION', text: ({ operation }) => operation },
  { title: 'NODE', text: ({ node }) => node },
  { title: 'LED TO', text: ({ notes }) => notes.join(', ') },
];

function runEvents(session: Session, argv: string[]): void {
  const options = new CommandOptions(session, argv, events.options);
  let all = false;
  let counts = false;
  let json = false;
  let limit = DEFAULT_COUNT;
  while (options.next()) {
    const { name, argument } = options;
    if (name === 'a') all = true;
    else if (name === 'c') counts = true;
    else if (name === 'j') json = true;
    else if (name === 'n') limit = countArgument(session, argument);
  }
  const [filter = '', ...more] = options.operands;
  if (more.length > 0) throw usage();
  if (counts) printCounts(session, filter, json);
  else printTable(session, latest(session, all, filter, limit), columns, { json, none: 'no event has fired' });
}

function countArgument(session: Session, text: string): number {
  const count = parseLong(text);
  if (count === undefined || count < 1) throw refuse(session, `${text} is not a number of events`);
  return Number(count);
}

function latest(session: Session, all: boolean, filter: string, limit: number): Row[] {
  const { history } = session.context.trace;
  const onlyDebugNodes = !all && history.counts.onDebugNodes.some((count) => count > 0);
  const rows: Row[] = [];
  for (const { onDebugNode, notes, ...fired } of history.newestFirst()) {
    if (rows.length >= limit) break;
    const row = { ...fired, notes: notes.map(noteText) };
    if ((onDebugNode || !onlyDebugNodes) && passes(row, filter)) rows.push(row);
  }
  return rows.reverse();
}

function noteText(note: EventNote): string {
  switch (note.kind) {
    case 'suspend':
      return `suspended ${note.tag}`;
    case 'resume':
      return `resumed ${note.tag}`;
    case 'error':
      return `${errnoName(note.errno) ?? note.errno} by rule ${note.rule}`;
    case 'state':
      return `state ${note.from} to ${note.to}`;
    case 'wait':
      return `waits for ${note.on}`;
  }
}

function passes({ event, request, operation, node, notes }: Row, filter: string): boolean {
  if (/^#\d+$/.test(filter)) return request === Number(filter.slice(1));
  return [event, operation, node, ...notes].some((text) => text.includes(filter));
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

function printCounts(session: Session, filter: string, json: boolean): void {
  const { onDebugNodes, elsewhere } = session.context.trace.history.counts;
  const rows = eventNames
    .map((event, at): CountRow => ({ event, onDebugNodes: onDebugNodes[at] ?? 0, elsewhere: elsewhere[at] ?? 0 }))
    .filter(({ event }) => event.includes(filter));
  printTable(session, rows, countColumns.slice(0, session.output.isTerminal ? 4 : 3), { json, none: 'no such event' });
}
