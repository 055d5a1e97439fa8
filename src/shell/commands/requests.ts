/** `requests`: the requests in flight, and what each waits for. Not in qemu-io. */
import { type RequestInFlight, requestsInFlight } from '../../block/loop/in-flight.ts';
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

export const requests = {
  name: 'requests',
  oneline: 'lists the requests in flight and what each waits for',
  minArgs: 0,
  maxArgs: 1,
  needsFile: false,
  looksOnly: true,
  options,
  help: [
    'For each request that has begun and not ended, oldest first: its name, what it does at which offset and length,',
    'what it waits for, and for how long. It waits for a breakpoint, a request that it overlaps, the space that another',
    'request allocates, a lock, a flush, its own parts, host I/O, a timer, the delay of a rule, or just for its turn.',
  ],
  run: runRequests,
} satisfies Command;

type Row = Omit<RequestInFlight, 'sinceNs' | 'startedNs'> & Age;

const columns: readonly Column<Row>[] = [
  requestColumn,
  ...rangeColumns,
  { title: 'WAITS FOR', text: ({ waitsFor }) => waitsFor },
  sinceColumn,
];

function runRequests(session: SessionState, argv: string[]): void {
  const { options: given, words } = options.parse(session, argv);
  if (words.operands.length > 0) throw usage();
  const now = session.loop.clock.nowNs();
  const rows = requestsInFlight(session.loop).map(({ sinceNs, startedNs: _started, ...request }): Row => {
    return { ...request, seconds: secondsBetween(sinceNs, now) };
  });
  printTable(session, rows, [...columns, ...clientColumns(rows), ...parentColumns(rows, session.output.isTerminal)], {
    json: given.json,
    none: 'nothing is in flight',
  });
}
