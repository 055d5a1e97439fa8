/** `suspended`: the requests that breakpoints suspend. Not in qemu-io. */
import { suspendedRequests, type SuspendedRequest } from '../../block/debug/port.ts';
import { usage } from '../failure.ts';
import type { Command } from '../command.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable } from '../words/option-table.ts';
import {
  type Age,
  clientColumns,
  parentColumns,
  rangeColumns,
  requestColumn,
  secondsBetween,
  sinceColumn,
} from '../output/columns.ts';
import { type Column, printTable } from '../output/table.ts';

const options = new OptionTable({ json: flag('j', 'as JSON') });

export const suspended = {
  name: 'suspended',
  oneline: 'lists the requests that are suspended',
  minArgs: 0,
  maxArgs: 1,
  needsFile: true,
  looksOnly: true,
  options,
  help: [
    'For each request that a breakpoint suspends, oldest first: the tag, the name of the request, what it does at which',
    'offset and length, the event at which it stopped, and how long ago. If two breakpoints suspend it, it is listed twice.',
  ],
  run: runSuspended,
} satisfies Command;

type Row = Omit<SuspendedRequest, 'sinceNs'> & Age;

const columns: readonly Column<Row>[] = [
  { title: 'TAG', text: ({ tag }) => tag },
  requestColumn,
  ...rangeColumns,
  { title: 'EVENT', text: ({ event }) => event },
  sinceColumn,
];

function runSuspended(session: SessionState, argv: string[]): void {
  const { options: given, words } = options.parse(session, argv);
  if (words.operands.length > 0) throw usage();
  const now = session.loop.clock.nowNs();
  const rows = suspendedRequests(session.top).map(({ sinceNs, ...request }): Row => {
    return { ...request, seconds: secondsBetween(sinceNs, now) };
  });
  printTable(
    session,
    rows.reverse(),
    [...columns, ...clientColumns(rows), ...parentColumns(rows, session.output.isTerminal)],
    {
      json: given.json,
      none: 'no request is suspended',
    },
  );
}
