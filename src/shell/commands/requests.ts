/** `requests`: the requests in flight, and what each waits for. Not in qemu-io. */
import { type RequestInFlight, requestsInFlight } from '../../block/loop/in-flight.ts';
import { CommandOptions, usage } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import type { Session } from '../session.ts';
import {
  type Age,
  clientColumns,
  rangeColumns,
  requestColumn,
  secondsBetween,
  sinceColumn,
} from '../output/columns.ts';
import { type Column, printTable } from '../output/table.ts';

export const requests = {
  name: 'requests',
  args: '[-j]',
  oneline: 'lists the requests in flight and what each waits for',
  minArgs: 0,
  maxArgs: 1,
  needsFile: false,
  options: 'j',
  optionHelp: { j: 'as JSON' },
  help: [
    'For each request that has begun and not ended, oldest first: its name, what it does at which offset and length,',
    'what it waits for, and for how long. It waits for a breakpoint, a request that it overlaps, the space that another',
    'request allocates, a lock, a flush, its own parts, host I/O, a timer, or just for its turn.',
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

function runRequests(session: Session, argv: string[]): void {
  const options = new CommandOptions(session, argv, requests.options);
  let json = false;
  while (options.next()) if (options.name === 'j') json = true;
  if (options.operands.length > 0) throw usage();
  const now = session.loop.clock.nowNs();
  const rows = requestsInFlight(session.loop).map(({ sinceNs, startedNs: _started, ...request }): Row => {
    return { ...request, seconds: secondsBetween(sinceNs, now) };
  });
  printTable(session, rows, [...columns, ...clientColumns(rows)], { json, none: 'nothing is in flight' });
}
