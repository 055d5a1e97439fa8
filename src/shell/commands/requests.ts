/** `requests`: everything in flight, and what it waits for. Not in qemu-io. */
import { describeWait } from '../../block/loop/describe-wait.ts';
import type { Coroutine } from '../../block/loop/loop.ts';
import { ageText, compactBytes } from '../../util/compact.ts';
import { CommandOptions, usage } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import type { Session } from '../session.ts';
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
    'For each request that has begun and not ended, oldest first: its number, what it does at which offset and length,',
    'what it waits for, and for how long. It waits for a breakpoint, a request that it overlaps, the space that another',
    'request allocates, a lock, a flush, its own parts, host I/O, a timer, or just for its turn.',
  ],
  run: runRequests,
} satisfies Command;

interface Row {
  readonly request: number;
  readonly operation: string;
  readonly offset: number | null;
  readonly bytes: number | null;
  readonly waitsFor: string;
  readonly seconds: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'REQUEST', text: ({ request }) => String(request), alignRight: true },
  { title: 'OPERATION', text: ({ operation }) => operation },
  { title: 'OFFSET', text: ({ offset }, brief) => sizeText(offset, brief), alignRight: true },
  { title: 'LENGTH', text: ({ bytes }, brief) => sizeText(bytes, brief), alignRight: true },
  { title: 'WAITS FOR', text: ({ waitsFor }) => waitsFor },
  {
    title: 'SINCE',
    text: ({ seconds }, brief) => (brief ? ageText(seconds * 1e9) : String(seconds)),
    alignRight: true,
  },
];

function sizeText(bytes: number | null, brief: boolean): string {
  if (bytes === null) return '';
  return brief ? compactBytes(bytes) : String(bytes);
}

function runRequests(session: Session, argv: string[]): void {
  const options = new CommandOptions(session, argv, requests.options);
  let json = false;
  while (options.next()) if (options.name === 'j') json = true;
  if (options.operands.length > 0) throw usage();
  const { alive, clock, current } = session.loop;
  const now = clock.nowNs();
  // The one that runs is this command.
  const rows = Array.from(alive)
    .filter((coroutine) => coroutine !== current)
    .map((coroutine) => rowOf(coroutine, now));
  printTable(session, rows, columns, { json, none: 'nothing is in flight' });
}

function rowOf({ id, operation, offset, bytes, waitsFor, waitsSinceNs, startedNs }: Coroutine, nowNs: number): Row {
  const sinceNs = waitsSinceNs === 0 ? startedNs : waitsSinceNs;
  return {
    request: id,
    operation,
    offset: offset ?? null,
    bytes: bytes ?? null,
    waitsFor: describeWait(waitsFor),
    seconds: Math.round((nowNs - sinceNs) / 1e6) / 1e3,
  };
}
