/** An image opened by a session with the real drivers and exported, for clients in processes of their own. */
import path from 'node:path';
import { Open, Perm } from '../../src/block/flags.ts';
import { setBackendPermissions } from '../../src/block/graph/permissions.ts';
import { Options } from '../../src/block/options/options.ts';
import { drivers } from '../../src/drivers/index.ts';
import { exportUri } from '../../src/nbd/address.ts';
import { NbdExport } from '../../src/nbd/export.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Session } from '../../src/shell/session.ts';

export interface ServedImage {
  readonly session: Session;
  readonly server: NbdServer;
  readonly uri: string;
  /** Runs a command of the shell while clients are connected; its output. */
  readonly execute: (line: string) => Promise<string>;
  end(): Promise<void>;
}

/** Exports an image at `folder/socket`. `options` are those of the top node. */
export async function serveImage(
  folder: string,
  options: Readonly<Record<string, string>>,
  { isReadOnly = false, socket = 'socket' } = {},
): Promise<ServedImage> {
  let said = '';
  const say = (text: string) => {
    said += text;
  };
  const output = { stdout: say, stderr: say, flush: () => {}, drop: () => {}, isTerminal: false };
  const session = new Session({ output, drivers }, commandTable);
  const isOpen = await session.open({
    filename: null,
    options: new Options(Object.entries(options)),
    flags: isReadOnly ? 0 : Open.READ_WRITE | Open.UNMAP,
    writethrough: false,
    forceShare: false,
  });
  if (!isOpen) throw new Error(said);
  const { loop, image } = session;
  const wanted = isReadOnly ? Perm.CONSISTENT_READ : Perm.CONSISTENT_READ | Perm.WRITE;
  setBackendPermissions(image, image.root.perm | wanted, image.root.shared);
  const server = new NbdServer({ loop, limits: { goodbyeNs: 100e6 } });
  server.addExport(new NbdExport({ name: '', backend: image }));
  const address = await server.listen({ kind: 'unix', path: path.join(folder, socket) });

  let turns = true;
  let turning = turn();
  async function turn(): Promise<void> {
    while (turns) await loop.turnOrSleep();
  }
  async function stopTurning(): Promise<void> {
    turns = false;
    loop.interrupt();
    await turning;
  }
  return {
    session,
    server,
    uri: exportUri(address, ''),
    async execute(line) {
      await stopTurning();
      said = '';
      await session.execute(line);
      turns = true;
      turning = turn();
      return said;
    },
    async end() {
      await stopTurning();
      await server.stop();
      await session.close();
    },
  };
}
