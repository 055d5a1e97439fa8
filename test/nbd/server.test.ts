/** Where a server listens, and how it ends. */
import { existsSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/block/loop/clock.ts';
import { NbdExport } from '../../src/nbd/export.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import { testShell } from '../helpers/shell.ts';
import { RawClient } from './raw-client.ts';
import { Rig } from './rig.ts';

const READ = 0;
const WRITE = 1;
const FLUSH = 3;

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.end());

const socketPath = () => path.join(rig.folder, 's');
/** A second server over the image of the rig. */
const another = () => new NbdServer({ loop: rig.memory.loop });
const unix = (name: string) => ({ kind: 'unix', path: path.join(rig.folder, name) }) as const;
const tcp = (host: string) => ({ kind: 'tcp', host, port: 0 }) as const;

describe('a Unix socket', () => {
  it('is for this user alone, and is removed at the end', async () => {
    expect(statSync(socketPath()).mode & 0o777).toBe(0o600);
    await rig.halt();
    await rig.server.stop();
    expect(existsSync(socketPath())).toBe(false);
  });

  it('is refused where something listens, and where another file is', async () => {
    await expect(another().listen(unix('s'))).rejects.toThrow(
      `Could not listen on 'unix:${socketPath()}': Address already in use`,
    );
    writeFileSync(path.join(rig.folder, 'file'), 'x');
    await expect(another().listen(unix('file'))).rejects.toThrow('File exists');
    symlinkSync('/nonexistent', path.join(rig.folder, 'link'));
    await expect(another().listen(unix('link'))).rejects.toThrow('File exists');
    await expect(another().listen(unix('no/s'))).rejects.toThrow('No such file or directory');
    await expect(another().listen(unix('x'.repeat(108)))).rejects.toThrow('File name too long');
  });

  it('takes the place of one that nothing listens on', async () => {
    const dead = createServer().listen(path.join(rig.folder, 'dead'));
    await new Promise((resolve) => dead.once('listening', resolve));
    // A second name stays behind when the socket is closed.
    renameSync(path.join(rig.folder, 'dead'), path.join(rig.folder, 'left'));
    await new Promise((resolve) => dead.close(resolve));
    expect(existsSync(path.join(rig.folder, 'left'))).toBe(true);
    const server = another();
    await server.listen(unix('left'));
    await rig.halt();
    await server.stop();
  });
});

describe('a port', () => {
  it.each(['127.0.0.1', '::1'])('of %s is chosen by the host, and served beside others', async (host) => {
    const address = await rig.server.listen(tcp(host));
    expect(address.kind === 'tcp' && address.port > 0).toBe(true);
    const client = await RawClient.open(address);
    expect((await client.ask({ type: FLUSH })).error).toBe(0);
    expect(rig.server.connections[0]?.peer).toMatch(host === '::1' ? /^::1:\d+$/ : /^127\.0\.0\.1:\d+$/);
    expect(rig.server.addresses).toEqual([{ kind: 'unix', path: socketPath() }, address]);
  });

  it('that is taken is refused', async () => {
    const address = await rig.server.listen(tcp('127.0.0.1'));
    await expect(another().listen(address)).rejects.toThrow('Address already in use');
  });
});

describe('exports', () => {
  it('have names of their own', () => {
    const { backend } = rig;
    expect(() => rig.server.addExport(new NbdExport({ name: '', backend }))).toThrow("An export '' exists already");
    const name = 'x'.repeat(5000);
    expect(() => rig.server.addExport(new NbdExport({ name, backend }))).toThrow('File name too long');
  });

  it('are withdrawn with their clients, and others stay', async () => {
    rig.server.addExport(new NbdExport({ name: 'b', backend: rig.backend }));
    const [first, second] = [await RawClient.open(rig.address), await RawClient.open(rig.address, { name: 'b' })];
    await rig.halt();
    expect(await rig.server.removeExport('b')).toBe(0);
    await second.closed();
    expect(rig.server.connections.map(({ exportName }) => exportName)).toEqual(['']);
    await expect(rig.server.removeExport('b')).rejects.toThrow("There is no export 'b'");
    first.destroy();
  });
});

describe('the end of a server', () => {
  it('answers what has begun and refuses what comes after', async () => {
    const client = await RawClient.open(rig.address);
    const waiting = await RawClient.greeted(rig.address);
    rig.memory.state.gates.add('write');
    client.send({ type: WRITE, cookie: 1n, length: 512, payload: Buffer.alloc(512) });
    await rig.until(() => rig.parked().length === 1);
    await rig.halt();
    rig.memory.loop.schedule(async () => {
      const [held] = rig.parked();
      if (held !== undefined) await rig.memory.loop.enter(held.coroutine);
    });
    expect(await rig.server.stop()).toBe(0);
    expect((await client.reply()).cookie).toBe(1n);
    expect((await client.closed()).length).toBe(0);
    await waiting.closed();
    await expect(RawClient.connect(rig.address)).rejects.toThrow('ENOENT');
  });

  it('tells of requests that cannot be ended', async () => {
    const client = await RawClient.open(rig.address);
    rig.memory.state.gates.add('write');
    client.send({ type: WRITE, length: 512, payload: Buffer.alloc(512) });
    await rig.until(() => rig.parked().length === 1);
    await rig.halt();
    expect(await rig.server.stop()).toBe(1);
    await client.closed();
  });
});

describe('a session', () => {
  it('holds a client at its breakpoints, resumes it, and cancels it at the end', async () => {
    const shell = await testShell();
    const { session } = shell;
    const server = new NbdServer({ loop: session.loop, clock: systemClock, limits: { goodbyeNs: 50e6 } });
    server.addExport(new NbdExport({ name: '', backend: session.image }));
    const address = await server.listen(unix('session'));
    let isOver = false;
    const turning = (async () => {
      while (!isOver) await session.loop.turnOrSleep();
    })();
    const halt = async () => {
      isOver = true;
      session.loop.interrupt();
      await turning;
    };
    // The permission to write, as a command of the shell gets it.
    await shell.run('write 0 512');
    await shell.run('break pwritev A');
    shell.out();
    const client = await RawClient.open(address);
    client.send({ type: WRITE, cookie: 1n, offset: 4096, length: 512, payload: Buffer.alloc(512, 0x55) });
    await rig.until(() => shell.image()[4096] === 0 && server.connections[0]?.inFlight === 1);
    expect((await client.ask({ type: READ, cookie: 2n, length: 8 })).cookie).toBe(2n);
    await halt();
    await shell.run('resume A');
    expect(shell.out()).toContain("blkdebug: Suspended request 'A'\nblkdebug: Resuming request 'A'\n");
    while (session.loop.pending) await session.loop.poll();
    expect((await client.reply()).cookie).toBe(1n);
    expect(shell.image()[4096]).toBe(0x55);

    await shell.run('break pwritev B');
    await shell.run('aio_write 16384 512');
    await shell.run('break pwritev B');
    client.send({ type: WRITE, cookie: 3n, offset: 8192, length: 512, payload: Buffer.alloc(512, 0x55) });
    await rig.until(() => session.loop.pending);
    while (session.loop.pending) await session.loop.poll();
    expect(server.connections[0]?.inFlight).toBe(1);
    expect(await server.stop()).toBe(0);
    const reply = await client.reply();
    expect([reply.cookie, reply.error]).toEqual([3n, 5]);
    expect(shell.image()[8192]).toBe(0);
    // The shell's own request stays suspended, under the same tag.
    shell.out();
    await shell.run('resume B');
    expect(shell.out()).toContain("Resuming request 'B'");
    await session.close();
  });

  /** The error of a client's write of 512 bytes of 0x55 under a rule, and the first byte of the image after it. */
  async function writeUnder(rule: string): Promise<[error: number, byte: number | undefined]> {
    const shell = await testShell();
    const { session } = shell;
    const server = new NbdServer({ loop: session.loop, clock: systemClock, limits: { goodbyeNs: 50e6 } });
    server.addExport(new NbdExport({ name: '', backend: session.image }));
    const address = await server.listen(unix('session'));
    await shell.run('write -P 1 0 512');
    await shell.run(`rule add ${rule}`);
    const opening = RawClient.open(address);
    let client: RawClient | null = null;
    void opening.then((opened) => {
      client = opened;
      opened.send({ type: WRITE, length: 512, payload: Buffer.alloc(512, 0x55) });
    });
    const turn = async () => {
      await new Promise(setImmediate);
      while (session.loop.pending) await session.loop.poll();
    };
    while (client === null || server.connections[0]?.requests !== 1) await turn();
    await turn();
    const { error } = await (await opening).reply();
    await server.stop();
    await session.close();
    return [error, shell.image()[0]];
  }

  it('ends the delay of a request whose client has left', async () => {
    const shell = await testShell({}, { clock: systemClock });
    const { session } = shell;
    const server = new NbdServer({ loop: session.loop, clock: systemClock, limits: { goodbyeNs: 50e6 } });
    server.addExport(new NbdExport({ name: '', backend: session.image }));
    const address = await server.listen(unix('session'));
    await shell.run('rule add inject-error event=none errno=0 delay-ns=1000000000000');
    let client: RawClient | null = null;
    void RawClient.open(address).then((opened) => {
      client = opened;
      opened.send({ type: WRITE, length: 512, payload: Buffer.alloc(512, 0x55) });
    });
    const turn = async () => {
      await new Promise(setImmediate);
      while (session.loop.isReady) await session.loop.poll(false);
    };
    while (session.loop.delayed().length === 0) await turn();
    (client as RawClient | null)?.socket.destroy();
    while (server.connections.length > 0) await turn();
    expect([shell.image()[0], session.loop.delayed()]).toEqual([0, []]);
    await session.close();
  });

  it('passes the error of a rule on', async () => {
    expect(await writeUnder('inject-error event=pwritev errno=28')).toEqual([28, 1]);
  });

  it('does not know of a fault that no error tells of', async () => {
    expect(await writeUnder('drop iotype=write')).toEqual([0, 1]);
    expect(await writeUnder('corrupt how=zeroes on=disk')).toEqual([0, 0]);
    expect(await writeUnder('inject-error event=none errno=0 delay-ns=1000000000')).toEqual([0, 0x55]);
  });
});
