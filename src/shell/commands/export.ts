/** `export`: offers the image to NBD clients. Not in qemu-io. */
import { BlockError } from '../../block/error.ts';
import { compactBytes } from '../../util/compact.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { type Column, printTable } from '../output/table.ts';
import type { ClientStatus, ExportStatus, SessionExports } from '../session-exports.ts';
import type { SessionState } from '../session-state.ts';
import { usage } from '../failure.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';

const options = new OptionTable({
  json: flag('j', 'the list as JSON'),
  isReadOnly: flag('r', 'clients may not write'),
  name: textSetting('n', 'name', 'the name of the export; empty by default'),
});

export const exportCommand = {
  name: 'export',
  args: '[start address|stop [name]|list|clients]',
  oneline: 'offers the image to NBD clients',
  minArgs: 0,
  maxArgs: 6,
  needsFile: false,
  actsOutside: true,
  polls: true,
  options,
  help: [
    'start listens at unix:PATH or tcp:[HOST:]PORT (this machine alone unless a host is named) and prints the URI for',
    'clients: qemu-system, nbd-client, nbdfuse, nbdcopy, fio, nbdsh. Their requests meet breakpoints and rules as those of',
    'the shell do; a suspended one suspends no other. They are served while the shell waits for a line, and while a command',
    'waits. stop answers what can end, cancels what is suspended, and disconnects. A client that leaves does not resume',
    'its suspended requests.',
    '  export start unix:/tmp/disk.sock',
    "    qemu-system-x86_64 -drive 'file=nbd+unix:///?socket=/tmp/disk.sock,format=raw'",
    '    nbd-client -unix /tmp/disk.sock /dev/nbd0',
    '    nbdfuse disk.raw nbd+unix:///?socket=/tmp/disk.sock',
    '    nbdcopy nbd+unix:///?socket=/tmp/disk.sock copy.raw',
    '    fio --name=x --ioengine=nbd --uri=nbd+unix:///?socket=/tmp/disk.sock --rw=randrw',
    '    nbdsh -u nbd+unix:///?socket=/tmp/disk.sock',
    '  export -r -n backup start tcp:10809',
  ],
  operands: [['start', 'stop', 'list', 'clients'], 'file'],
  run: runExport,
} satisfies Command;

const exportColumns: readonly Column<ExportStatus>[] = [
  { title: 'EXPORT', text: ({ name }) => name },
  { title: 'ACCESS', text: ({ isReadOnly }) => (isReadOnly ? 'read-only' : 'read-write') },
  {
    title: 'SIZE',
    text: ({ sizeBytes }, brief) => (brief ? compactBytes(sizeBytes) : String(sizeBytes)),
    alignRight: true,
  },
  { title: 'CLIENTS', text: ({ clients }) => String(clients), alignRight: true },
  { title: 'URI', text: ({ uris }) => uris.join(' ') },
];

const clientColumns: readonly Column<ClientStatus>[] = [
  { title: 'CLIENT', text: ({ client }) => client },
  { title: 'PEER', text: ({ peer }) => peer },
  { title: 'EXPORT', text: ({ exportName }) => exportName ?? '' },
  { title: 'STATE', text: ({ state }) => state },
  { title: 'REQUESTS', text: ({ requests }) => String(requests), alignRight: true },
  { title: 'IN FLIGHT', text: ({ inFlight }) => String(inFlight), alignRight: true },
];

async function runExport(session: SessionState, argv: string[]): Promise<void> {
  const { options: given, words } = options.parse(session, argv);
  const [action = 'list', word, ...more] = words.operands;
  if (more.length > 0) throw usage();
  const { exports } = session;
  if (exports === null) throw new BlockError(Errno.ENOTSUP, 'nothing can be exported here');
  if (action === 'start' && word !== undefined) {
    const { name, isReadOnly } = given;
    session.output.stdout(`${await exports.start({ address: word, name: name ?? '', isReadOnly })}\n`);
  } else if (action === 'stop') {
    await exports.stop(word ?? given.name);
  } else if (word === undefined) {
    list(session, exports, action, given.json);
  } else {
    throw usage();
  }
}

function list(session: SessionState, exports: SessionExports, action: string, json: boolean): void {
  if (action === 'list') {
    printTable(session, exports.exports(), exportColumns, { json, none: 'nothing is exported' });
  } else if (action === 'clients') {
    printTable(session, exports.clients(), clientColumns, { json, none: 'no client is connected' });
  } else {
    throw usage();
  }
}
