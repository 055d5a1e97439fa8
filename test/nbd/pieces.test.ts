/** Long requests, which are done in pieces: the pieces, which requests are served between them, and how they end. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Status } from '../../src/block/flags.ts';
import { Errno } from '../../src/util/errno.ts';
import { RawClient } from './raw-client.ts';
import { Rig } from './rig.ts';

const READ = 0;
const WRITE = 1;
const TRIM = 4;
const CACHE = 5;
const ZEROES = 6;
const STATUS = 7;
const FUA = 1;
const KIB = 1 << 10;
const MIB = 1 << 20;

let rig: Rig;
let statusCalls = 0;
beforeEach(async () => {
  statusCalls = 0;
  rig = await Rig.make({
    limits: { readBytes: 8 * KIB, maxPieceBytes: 16 * KIB, sliceBytes: 8 * KIB, turnBytes: 64 * KIB },
    overrides: {
      blockStatus: async (_node, _wantZero, offset) => {
        statusCalls += 1;
        return { flags: Status.DATA, bytes: 512, map: offset, file: null };
      },
    },
  });
});
afterEach(() => rig.end());

/** The calls of the driver, without events. */
const calls = () => rig.calls.filter((call) => !call.startsWith('event'));
const open = () => RawClient.open(rig.address, { style: 'structured', contexts: ['base:allocation'] });

describe('a request that is longer than a piece', () => {
  it.each([
    [TRIM, 'discard', 16],
    [ZEROES, 'zero', 16],
    [CACHE, 'read', 16],
    [READ, 'read', 16],
  ])('of type %i is done up to multiples of a piece', async (type, name, pieceKib) => {
    const client = await open();
    const reply = await client.ask({ type, offset: 4 * KIB, length: 36 * KIB });
    expect(reply.error).toBe(0);
    const ranges = calls().map((call) => /^(\w+) (\d+)@(\d+)/.exec(call)?.slice(1));
    const expected: unknown[] = [];
    for (let at = 4; at < 40; ) {
      const end = Math.min((Math.floor(at / pieceKib) + 1) * pieceKib, 40);
      expected.push([name, String((end - at) * KIB), String(at * KIB)]);
      at = end;
    }
    expect(ranges).toEqual(expected);
  });

  it('reads less in a piece out of clusters, which may be compressed, and writes as much', async () => {
    await rig.end();
    rig = await Rig.make({
      limits: { readBytes: 8 * KIB, pieceClusters: 4 },
      overrides: { getInfo: () => ({ clusterBytes: 4 * KIB, vmStateOffset: 0, isDirty: false }) },
    });
    const client = await open();
    await client.ask({ type: READ, offset: 4 * KIB, length: 16 * KIB });
    await client.ask({ type: WRITE, offset: 4 * KIB, length: 16 * KIB, payload: Buffer.alloc(16 * KIB) });
    const ranges = ['read 4096@4096', 'read 8192@8192', 'read 4096@16384', 'write 16384@4096'];
    expect(calls()).toEqual(ranges);
  });

  it('moves the data that it moves as one', async () => {
    const client = await open();
    const payload = Buffer.from(Array.from({ length: 100_001 }, (_, index) => index % 253));
    expect((await client.ask({ type: WRITE, offset: 777, length: payload.length, payload })).error).toBe(0);
    expect(calls().length).toBe(7);
    expect(rig.memory.state.bytes.subarray(777, 777 + payload.length).equals(payload)).toBe(true);
    const { data } = await client.ask({ type: READ, offset: 777, length: payload.length });
    expect(data.subarray(8).equals(payload)).toBe(true);
  });

  it.each([WRITE, ZEROES, TRIM])('of type %i with FUA flushes once, behind its last piece', async (type) => {
    const client = await open();
    const payload = type === WRITE ? { payload: Buffer.alloc(64 * KIB) } : {};
    await client.ask({ type, flags: FUA, offset: 0, length: 64 * KIB, ...payload });
    const flushes = calls().map((call) => call.startsWith('flush'));
    expect(flushes.indexOf(true)).toBe(4);
    expect(calls().filter((call) => call === 'flush_to_os').length).toBe(1);
  });

  it('ends with the piece that fails', async () => {
    rig.memory.state.gates.add('discard');
    const client = await open();
    client.send({ type: TRIM, offset: 0, length: 64 * KIB });
    await rig.until(() => rig.parked().length === 1);
    await rig.resume();
    await rig.until(() => rig.parked().length === 1);
    rig.memory.state.failures.set('discard', 28);
    await rig.resume();
    expect((await client.reply()).error).toBe(28);
    expect(calls()).toEqual(['discard 16384@0', 'discard 16384@16384']);
  });

  it('ends between two pieces when it is cancelled', async () => {
    rig.memory.state.gates.add('discard');
    const client = await open();
    client.send({ type: TRIM, offset: 0, length: 64 * KIB });
    await rig.until(() => rig.parked().length === 1);
    for (const { coroutine } of rig.parked()) rig.memory.loop.cancel(coroutine);
    await rig.resume();
    expect((await client.reply()).error).toBe(5);
    expect(calls()).toEqual(['discard 16384@0']);
    expect(rig.server.budget.heldBytes).toBe(0);
  });
});

describe('when its export is withdrawn', () => {
  it('a request ends between two pieces, and is answered', async () => {
    rig.memory.state.gates.add('discard');
    const client = await open();
    client.send({ type: TRIM, offset: 0, length: MIB });
    await rig.until(() => rig.parked().length === 1);
    rig.memory.state.gates.clear();
    await rig.halt();
    rig.memory.loop.schedule(async () => {
      const [held] = rig.parked();
      if (held !== undefined) await rig.memory.loop.enter(held.coroutine);
    });
    expect(await rig.server.removeExport('')).toBe(0);
    expect((await client.reply()).error).toBe(Errno.ESHUTDOWN);
    expect(calls()).toEqual(['discard 16384@0']);
  });
});

describe('between the pieces of a request', () => {
  it.each([ZEROES, TRIM])('of type %i others are answered', async (type) => {
    const [long, short] = [await open(), await open()];
    long.send({ type, offset: 0, length: MIB });
    await rig.until(() => calls().length > 0);
    await short.ask({ type: READ, offset: 0, length: 512 });
    expect(calls().length).toBeLessThan(MIB / (16 * KIB));
    expect((await long.reply()).error).toBe(0);
    expect(calls().length).toBe(MIB / (16 * KIB) + 1);
  });

  it('others are answered while many runs of a status are looked up', async () => {
    const [long, short] = [await open(), await open()];
    long.send({ type: STATUS, offset: 0, length: MIB });
    await rig.until(() => statusCalls > 0);
    await short.ask({ type: READ, offset: 0, length: 512 });
    expect(statusCalls).toBeLessThan(MIB / 512);
    expect((await long.reply()).error).toBe(0);
    expect(statusCalls).toBe(MIB / 512);
  });

  it('others are answered when a client has sent many of them at once', async () => {
    const [long, short] = [await open(), await open()];
    for (let index = 0; index < 60; index += 1) long.send({ type: TRIM, offset: 0, length: 16 * KIB });
    await rig.until(() => calls().length > 0);
    await short.ask({ type: READ, offset: 0, length: 512 });
    expect(calls().length).toBeLessThan(60);
  });
});
