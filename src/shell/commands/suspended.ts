/** `suspended`: the requests that breakpoints hold. Not in qemu-io. */
import { suspendedRequests } from '../../block/debug/debug.ts';
import { ageText, compactBytes } from '../../util/compact.ts';
import { CommandOptions, usage } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import type { Session } from '../session.ts';
import { type Column, printTable } from '../output/table.ts';

export const suspended = {
  name: 'suspended',
  args: '[-j]',
  oneline: 'lists the requests that are suspended',
  minArgs: 0,
  maxArgs: 1,
  needsFile: true,
  options: 'j',
  optionHelp: { j: 'as JSON' },
  help: [
    'For each request that a breakpoint holds, oldest first: the tag, the number of the request, what it does at which',
    'offset and length, the event at which it stopped, and how long ago. A request that two breakpoints hold is there twice.',
  ],
  run: runSuspended,
} satisfies Command;

interface Row {
  readonly tag: string;
  readonly request: number;
  readonly operation: string;
  readonly offset: number;
  readonly bytes: number;
  readonly event: string;
  readonly seconds: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'TAG', text: ({ tag }) => tag },
  { title: 'REQUEST', text: ({ request }) => String(request), alignRight: true },
  { title: 'OPERATION', text: ({ operation }) => operation },
  { title: 'OFFSET', text: ({ offset }, brief) => (brief ? compactBytes(offset) : String(offset)), alignRight: true },
  { title: 'LENGTH', text: ({ bytes }, brief) => (brief ? compactBytes(bytes) : String(bytes)), alignRight: true },
  { title: 'EVENT', text: ({ event }) => event },
  {
    title: 'SINCE',
    text: ({ seconds }, brief) => (brief ? ageText(seconds * 1e9) : String(seconds)),
    alignRight: true,
  },
];

function runSuspended(session: Session, argv: string[]): void {
  const options = new CommandOptions(session, argv, suspended.options);
  let json = false;
  while (options.next()) if (options.name === 'j') json = true;
  if (options.operands.length > 0) throw usage();
  const now = session.loop.clock.nowNs();
  const rows = suspendedRequests(session.top).map(
    ({ tag, requestId, operation, offset, bytes, event, sinceNs }): Row => ({
      tag,
      request: requestId,
      operation,
      offset,
      bytes,
      event,
      seconds: Math.round((now - sinceNs) / 1e6) / 1e3,
    }),
  );
  printTable(session, rows.reverse(), columns, { json, none: 'no request is suspended' });
}
