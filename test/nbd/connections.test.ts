/** Several clients and their ends: requests that are held, clients that leave, bounds that no client gets beyond. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../helpers/manual-clock.ts';
import { encodeRequest, RawClient } from './raw-client.ts';
import { Rig, type RigOptions } from './rig.ts';

const READ = 0;
const WRITE = 1;
const DISC = 2;
const FLUSH = 3;
const MIB = 1 << 20;
const SECOND = 1e9;

let rig: Rig;
const remake = async (options: RigOptions) => {
  await rig.end();
  rig = await Rig.make(options);
};
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.end());

const write = (offset: number, cookie = 1n) => ({
  type: WRITE,
  cookie,
  offset,
  length: 512,
  payload: Buffer.alloc(512, 0x77),
});
const info = () => rig.server.connections.map(({ id, state, inFlight }) => ({ id, state, inFlight }));

describe('a request that is held', () => {
  it('holds up no other of its client, and is answered when it goes on', async () => {
    rig.memory.state.gates.add('write');
    const client = await RawClient.open(rig.address);
    client.send(write(0, 1n));
    await rig.until(() => rig.parked().length === 1);
    rig.memory.state.gates.clear();
    expect((await client.ask({ type: READ, cookie: 2n, offset: 4096, length: 8 })).cookie).toBe(2n);
    client.send(write(8192, 3n));
    expect((await client.reply()).cookie).toBe(3n);
    expect(rig.parked()).toMatchObject([{ origin: 'client 1', operation: 'write' }]);
    await rig.resume();
    expect((await client.reply()).cookie).toBe(1n);
    expect(rig.memory.state.bytes[0]).toBe(0x77);
  });

  it('is answered with EIO when it is cancelled', async () => {
    rig.memory.state.gates.add('write');
    const client = await RawClient.open(rig.address);
    client.send(write(0));
    await rig.until(() => rig.parked().length === 1);
    for (const { coroutine } of rig.parked()) rig.memory.loop.cancel(coroutine);
    await rig.resume();
    const reply = await client.reply();
    expect([reply.error, reply.data.toString('utf8', 6)]).toEqual([5, 'write: Operation canceled']);
  });

  it('is done when its client has left, and the connection lasts so long', async () => {
    rig.memory.state.gates.add('write');
    const client = await RawClient.open(rig.address);
    client.send(write(0));
    await rig.until(() => rig.parked().length === 1);
    client.destroy();
    await rig.until(() => rig.server.connections[0]?.state !== 'serving');
    expect(info()).toEqual([{ id: 1, state: 'ending', inFlight: 1 }]);
    await rig.resume();
    await rig.until(() => rig.server.connections.length === 0);
    expect(rig.memory.state.bytes[0]).toBe(0x77);
    expect(rig.server.budget.heldBytes).toBe(0);
    expect(rig.backend.inFlight).toBe(0);
  });

  it('is answered after DISC', async () => {
    rig.memory.state.gates.add('write');
    const client = await RawClient.open(rig.address);
    client.send(write(0, 9n));
    client.send({ type: DISC });
    client.send(write(512, 10n));
    await rig.until(() => rig.server.connections[0]?.state === 'ending');
    await rig.resume();
    expect((await client.reply()).cookie).toBe(9n);
    expect((await client.closed()).length).toBe(0);
    expect(rig.memory.state.bytes[512]).toBe(0);
  });

  it('counts: beyond the limit the socket is not read', async () => {
    await remake({ limits: { maxRequests: 3 } });
    rig.memory.state.gates.add('write');
    const client = await RawClient.open(rig.address);
    for (let index = 0; index < 5; index += 1) client.send(write(index * 512, BigInt(index)));
    await rig.until(() => rig.parked().length === 3);
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(rig.parked().length).toBe(3);
    await rig.resume();
    await rig.until(() => rig.server.connections[0]?.requests === 4);
    rig.memory.state.gates.clear();
    for (let index = 0; index < 3; index += 1) await rig.resume();
    for (let index = 0; index < 5; index += 1) expect((await client.reply()).error).toBe(0);
  });
});

describe('clients', () => {
  it('see what others have written and flushed', async () => {
    const [first, second] = [await RawClient.open(rig.address), await RawClient.open(rig.address)];
    first.send(write(4096));
    await first.reply();
    await second.ask({ type: FLUSH });
    expect((await second.ask({ type: READ, offset: 4096, length: 4 })).data.subarray(8)).toEqual(Buffer.alloc(4, 0x77));
    expect(info().map(({ id }) => id)).toEqual([1, 2]);
  });

  it('have their turns, however much one sends', async () => {
    const [greedy, modest] = [await RawClient.open(rig.address), await RawClient.open(rig.address)];
    const flood = Array.from({ length: 4000 }, () => encodeRequest({ type: READ, offset: 0, length: 1 }, false));
    greedy.write(Buffer.concat(flood));
    modest.send({ type: READ, offset: 777, length: 1 });
    await modest.reply();
    expect(rig.calls.indexOf('read 1@777')).toBeLessThan(2000);
    for (let index = 0; index < 4000; index += 1) await greedy.reply();
  });

  it('are refused beyond the limit, with a line', async () => {
    await remake({ limits: { maxConnections: 2 } });
    const clients = [await RawClient.open(rig.address), await RawClient.open(rig.address)];
    const third = await RawClient.connect(rig.address);
    expect((await third.closed()).length).toBe(0);
    expect(rig.lines).toEqual(['a client is refused: 2 are connected']);
    clients[0]?.end();
    await rig.until(() => rig.server.connections.length === 1);
    expect((await (await RawClient.open(rig.address)).ask({ type: FLUSH })).error).toBe(0);
  });

  it('are told of in ten lines a second, whatever they do', async () => {
    const clock = new ManualClock();
    await remake({ clock });
    const spoil = async () => {
      const client = await RawClient.greeted(rig.address, 0xff);
      await client.closed();
    };
    for (let index = 0; index < 15; index += 1) await spoil();
    expect(rig.lines.length).toBe(10);
    clock.advance(SECOND);
    await spoil();
    expect(rig.lines.slice(10)).toEqual([
      '5 more messages about clients were left out',
      expect.stringContaining('client 16 (unix:'),
    ]);
  });

  it('that end while a write is half there leave nothing', async () => {
    const client = await RawClient.open(rig.address);
    client.write(encodeRequest({ type: WRITE, length: MIB, payload: Buffer.alloc(1000) }, false));
    await rig.until(() => (rig.server.connections[0]?.heldBytes ?? 0) > MIB);
    client.destroy();
    await rig.until(() => rig.server.connections.length === 0);
    expect(rig.server.budget.heldBytes).toBe(0);
    expect(rig.calls).toEqual([]);
  });
});

describe('time limits', () => {
  it('end a handshake that does not come to its end', async () => {
    const clock = new ManualClock();
    await remake({ clock });
    const client = await RawClient.greeted(rig.address);
    const served = await RawClient.open(rig.address);
    clock.advance(9.9 * SECOND);
    await client.option(3);
    clock.advance(0.2 * SECOND);
    await client.closed();
    expect(rig.lines).toEqual([expect.stringMatching(/^client 1 .*: no export chosen within 10 s; disconnected$/)]);
    expect((await served.ask({ type: FLUSH })).error).toBe(0);
  });

  it('do not end one that was not heard because the loop was busy', async () => {
    const clock = new ManualClock();
    await remake({ clock });
    const client = await RawClient.connect(rig.address);
    await rig.until(() => rig.server.connections.length === 1);
    await rig.halt();
    client.write(Buffer.from([0, 0, 0, 3]));
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    clock.advance(11 * SECOND);
    expect(rig.lines).toEqual([]);
    expect(info()).toEqual([{ id: 1, state: 'handshake', inFlight: 0 }]);
  });
});

describe('memory', () => {
  const limits = { maxConnectionBytes: 4 * MIB, maxTotalBytes: 8 * MIB, smallRequestBytes: 64 << 10 };
  const bytes = 4 * MIB;
  /** A client that asks for 1 MiB `count` times and reads nothing. */
  const deaf = async (count: number) => {
    const client = await RawClient.open(rig.address);
    client.socket.pause();
    for (let index = 0; index < count; index += 1) client.send({ type: READ, offset: 0, length: MIB });
    return client;
  };
  const held = () => rig.server.connections.map(({ heldBytes }) => heldBytes);

  it('of a client that never reads is bounded', async () => {
    await remake({ bytes, limits });
    await deaf(100);
    await rig.until(() => (held()[0] ?? 0) > 2 * MIB);
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    expect(held()[0]).toBeLessThanOrEqual(4 * MIB);
    expect(rig.calls.length).toBeLessThan(10);
    const other = await RawClient.open(rig.address);
    expect((await other.ask({ type: READ, length: MIB })).error).toBe(0);
  });

  it('of all clients is bounded: small requests go on, large ones wait until others have read', async () => {
    await remake({ bytes, limits });
    const deafs = [await deaf(100), await deaf(100), await deaf(100)];
    await rig.until(() => rig.server.budget.heldBytes > 6 * MIB);
    const other = await RawClient.open(rig.address);
    expect((await other.ask({ type: READ, length: 65_000 })).error).toBe(0);
    other.send({ type: READ, cookie: 5n, length: 2 * MIB });
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    expect(rig.server.budget.heldBytes).toBeLessThanOrEqual(8 * MIB + 65_536);
    expect(rig.calls).not.toContain(`read ${2 * MIB}@0`);
    for (const client of deafs) client.socket.resume();
    expect((await other.reply()).cookie).toBe(5n);
  });

  it('is taken from a client that does not read while others wait for it', async () => {
    const clock = new ManualClock();
    await remake({ bytes, limits, clock });
    await deaf(100);
    await deaf(100);
    await deaf(100);
    await rig.until(() => rig.server.budget.heldBytes > 6 * MIB);
    const other = await RawClient.open(rig.address);
    other.send({ type: READ, cookie: 5n, length: 3 * MIB });
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    clock.advance(31 * SECOND);
    expect((await other.reply()).cookie).toBe(5n);
    expect(rig.lines[0]).toContain('it does not read its replies; disconnected');
  });
});
