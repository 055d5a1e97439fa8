/** Connections that are lost: which requests fail, which wait, and when there is a new one (as with qemu-io 7.2.22). */
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useFolder } from '../../helpers/sandbox.ts';
import { nbdShell, type NbdShell, turn, until } from './nbd-shell.ts';
import { ScriptedServer } from './scripted-server.ts';

const folder = useFolder();
const socket = path.join(folder, 'server');

let server: ScriptedServer;
let shell: NbdShell;

beforeEach(async () => {
  server = new ScriptedServer(socket, 1 << 20);
  await server.start();
  shell = nbdShell();
});

afterEach(async () => {
  await server.stop();
  await whileTimePasses(shell.session.close());
});

function open(options = {}): Promise<boolean> {
  return shell.open({ driver: 'raw', 'file.driver': 'nbd', 'file.path': socket, ...options });
}

/** The server closes each connection after so many replies. */
function closeAfter(replies: number): void {
  let rest = replies;
  server.behaviour.onRequest = (request, peer) => {
    if (rest > 0) peer.answer(request);
    rest -= 1;
    if (rest <= 0) peer.socket.destroySoon();
    return true;
  };
}

/** The first words of each report. */
function reports(text: string): string[] {
  return text.split('\n').filter((line) => /failed|bytes at offset/.test(line));
}

/** Moves the clock on, second by second with many turns in between, until `operation` has ended. */
async function whileTimePasses<T>(operation: T | Promise<T>): Promise<T> {
  let hasEnded = false;
  const ended = Promise.resolve(operation).finally(() => {
    hasEnded = true;
  });
  for (let idle = 1; !hasEnded; idle += 1) {
    await turn();
    if (idle % 50 === 0) shell.clock.advance(1);
  }
  return ended;
}

describe('without a reconnect delay', () => {
  it('a request on a lost connection fails, and one that comes when there is a new one does not', async () => {
    await open();
    closeAfter(1);
    expect(reports(await shell.run('read 0 512', 'read 512 512', 'read 1k 512'))).toEqual([
      'read 512/512 bytes at offset 0',
      'read failed: Input/output error',
      // This one has begun to connect.
      'read failed: Input/output error',
    ]);
    server.behaviour.onRequest = undefined;
    await until(() => server.connections.length === 2);
    for (let count = 0; count < 20; count += 1) await turn();
    expect(await shell.run('read 0 512')).toMatch(/^read 512\/512/);
  });

  it('all requests in flight fail, after the replies that did come', async () => {
    await open();
    closeAfter(1);
    const said = await shell.run('aio_read 0 512', 'aio_read 512 512', 'aio_write 1k 512', 'aio_flush');
    expect(reports(said)).toEqual([
      'read 512/512 bytes at offset 0',
      'readv failed: Input/output error',
      'aio_write failed: Input/output error',
    ]);
  });
});

describe('with a reconnect delay', () => {
  it('requests that were in flight are sent again', async () => {
    await open({ 'file.reconnect-delay': 5 });
    closeAfter(1);
    await shell.run('aio_read 0 512', 'aio_read 512 512', 'aio_write -P 7 1k 512');
    await until(() => server.log.length === 3);
    server.behaviour.onRequest = undefined;
    expect(reports(await shell.run('aio_flush'))).toHaveLength(3);
    expect(server.content[1024]).toBe(7);
    expect(shell.clock.pending).toBe(0);
  });

  it('requests wait for a server that comes back in time', async () => {
    await open({ 'file.reconnect-delay': 10 });
    await server.stop();
    const reading = whileTimePasses(shell.session.execute('read 0 512'));
    await until(() => shell.clock.now > 2e9);
    await server.start();
    await reading;
    expect(shell.said()).toMatch(/^read 512\/512/);
  });

  it('requests fail when the time is over, and later ones at once', async () => {
    await open({ 'file.reconnect-delay': 3 });
    await server.stop();
    const begun = shell.clock.now;
    await whileTimePasses(shell.session.execute('read 0 512'));
    expect(Math.floor((shell.clock.now - begun) / 1e9)).toBe(3);
    expect(await shell.run('read 0 512')).toBe('read failed: Input/output error\nread failed: Input/output error\n');
  });

  it('a server that breaks the protocol is not asked again', async () => {
    await open({ 'file.reconnect-delay': 5 });
    server.behaviour.onRequest = (_request, { send }) => {
      send(Buffer.alloc(64, 0x55));
      return true;
    };
    expect(await shell.run('read 0 512', 'read 0 512')).toBe(
      'read failed: Input/output error\nread failed: Input/output error\n',
    );
    expect(server.connections).toHaveLength(1);
  });
});

describe('an open with a time limit', () => {
  it('tries again until there is a server', async () => {
    await server.stop();
    const opening = whileTimePasses(open({ 'file.open-timeout': 20 }));
    await until(() => shell.clock.now > 2e9);
    await server.start();
    expect(await opening).toBe(true);
    expect(shell.clock.pending).toBe(0);
  });

  it('ends with the error of the last attempt', async () => {
    await server.stop();
    expect(await whileTimePasses(open({ 'file.open-timeout': 2 }))).toBe(false);
    expect(shell.said()).toBe(`qemu-io: can't open: Failed to connect to '${socket}': No such file or directory\n`);
    expect(shell.clock.pending).toBe(0);
  });

  it('says so if a server accepts and says nothing', async () => {
    server.behaviour.greeting = Buffer.alloc(0);
    expect(await whileTimePasses(open({ 'file.open-timeout': 2 }))).toBe(false);
    expect(shell.said()).toBe("qemu-io: can't open: Connection attempt cancelled by timeout\n");
  });
});
