/** Servers that say nothing: the prompt comes back on an interrupt, and the image can be closed. */
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Command } from '../../../src/nbd/wire.ts';
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

afterEach(() => server.stop());

function open(): Promise<boolean> {
  return shell.open({ driver: 'raw', 'file.driver': 'nbd', 'file.path': socket });
}

/** The server answers nothing of these types from now on. */
function silence(...types: number[]): void {
  server.behaviour.onRequest = (request) => types.includes(request.type);
}

it('gives the prompt back on an interrupt, and the request reports when its reply comes', async () => {
  await open();
  const answers: (() => void)[] = [];
  server.behaviour.onRequest = (request, peer) => {
    if (answers.length > 0) return false;
    answers.push(() => peer.answer(request));
    return true;
  };
  const ended = shell.session.execute('read -P 0 0 512');
  await until(() => answers.length > 0);
  shell.session.interrupt();
  expect(await ended).toBe(0);
  expect(await shell.run('read -P 0 512 512')).toMatch(/^read 512\/512 bytes at offset 512\n/);
  answers[0]?.();
  await shell.session.background.drain();
  expect(shell.said()).toMatch(/^read 512\/512 bytes at offset 0\n/);
  await shell.session.close();
});

it('lets a close that waits be interrupted: what the server has not answered is cancelled', async () => {
  await open();
  silence(Command.READ);
  await shell.run('aio_read 0 512', 'aio_read 4k 512');
  const closed = shell.session.close();
  await until(() => server.log.length === 2);
  shell.session.interrupt();
  await closed;
  expect(shell.said().trim().split('\n')).toEqual([
    'qemu-io: cancelled: read of 512 bytes at offset 0, waiting for the server for 0.0 s',
    'qemu-io: cancelled: read of 512 bytes at offset 4096, waiting for the server for 0.0 s',
    'readv failed: Operation canceled',
    'readv failed: Operation canceled',
  ]);
  expect(shell.session.exitStatus).toBe(1);
});

it('closes a second after a signal though the server says nothing to the flush', async () => {
  await open();
  silence(Command.FLUSH, Command.READ);
  const ended = shell.session.execute('read 0 512');
  await until(() => server.log.length === 1);
  shell.session.interrupt();
  await ended;
  const closed = shell.session.close();
  await until(() => shell.clock.pending === 1);
  await turn();
  shell.clock.advance(1);
  await closed;
  expect(shell.said()).toMatch(/cancelled: read of 512 bytes at offset 0, waiting for the server for 1.0 s\n/);
  expect(shell.clock.pending).toBe(0);
});

it('lets 17 requests, of which one waits for its turn, be cancelled together', async () => {
  await open();
  silence(Command.READ);
  await shell.run(...Array.from({ length: 17 }, (_, index) => `aio_read ${index * 512} 512`));
  const closed = shell.session.close();
  await until(() => server.log.length === 16);
  shell.session.interrupt();
  await closed;
  expect([...shell.said().matchAll(/readv failed: Operation canceled/g)]).toHaveLength(17);
});

it('does not send what was cancelled at a breakpoint above', async () => {
  await shell.open({ driver: 'raw', 'file.driver': 'blkdebug', 'file.image.driver': 'nbd', 'file.image.path': socket });
  await shell.run('break pwritev A', 'aio_write 0 512', 'wait_break A');
  expect(await shell.run('cancel A', 'aio_flush')).toContain('aio_write failed: Operation canceled\n');
  expect(server.log).toEqual([]);
  await shell.session.close();
});
