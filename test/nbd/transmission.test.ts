/** Requests: every type with simple, structured and extended headers, every error, and what is cut or late. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Driver } from '../../src/block/driver.ts';
import { Req, Status } from '../../src/block/flags.ts';
import { Errno } from '../../src/util/errno.ts';
import type { MemoryState } from '../helpers/memory-node.ts';
import { encodeRequest, RawClient } from './raw-client.ts';
import { Rig } from './rig.ts';

const READ = 0;
const WRITE = 1;
const DISC = 2;
const FLUSH = 3;
const TRIM = 4;
const CACHE = 5;
const ZEROES = 6;
const STATUS = 7;
const MIB = 1 << 20;

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
  rig.memory.state.bytes.forEach((_byte, index, bytes) => {
    bytes[index] = index % 251;
  });
});
afterEach(() => rig.end());

const image = (offset: number, bytes: number) => Buffer.from(rig.memory.state.bytes.subarray(offset, offset + bytes));
const message = (data: Buffer) => data.toString('utf8', 6, 6 + data.readUInt16BE(4));
/** The calls of the driver, without events. */
const calls = () => rig.calls.filter((call) => !call.startsWith('event'));

const styles = ['simple', 'structured', 'extended'] as const;
type Style = (typeof styles)[number];
/** The flag that a write needs to have a payload. */
const payloadFlag = (style: Style) => (style === 'extended' ? 0x20 : 0);

describe.each(styles)('with %s headers', (style) => {
  let client: RawClient;
  beforeEach(async () => {
    client = await RawClient.open(rig.address, { style, contexts: style === 'simple' ? [] : ['base:allocation'] });
  });

  it.each([
    [0, 1],
    [511, 4096],
    [4096, 70_000],
    [0, MIB],
  ])('reads at %i %i bytes', async (offset, length) => {
    const reply = await client.ask({ type: READ, cookie: 0xfedcba9876543210n, offset, length });
    expect({ ...reply, data: null }).toMatchObject({
      type: style === 'simple' ? -1 : 1,
      isLast: true,
      error: 0,
      cookie: 0xfedcba9876543210n,
    });
    const data = style === 'simple' ? reply.data : reply.data.subarray(8);
    expect(data.equals(image(offset, length))).toBe(true);
    if (style !== 'simple') expect(reply.data.readBigUInt64BE(0)).toBe(BigInt(offset));
    if (style === 'extended') expect(reply.offset).toBe(BigInt(offset));
  });

  it('reads nothing', async () => {
    const reply = await client.ask({ type: READ, offset: 5, length: 0 });
    expect([reply.error, reply.data.length, reply.isLast]).toEqual([0, 0, true]);
  });

  it.each([1, 4096, 100_000, MIB - 4])('writes %i bytes that come in pieces', async (length) => {
    const payload = Buffer.alloc(length, 'abcdefg');
    const bytes = encodeRequest(
      { type: WRITE, flags: payloadFlag(style), offset: 3, length, payload },
      style === 'extended',
    );
    for (const end of [10, 30, 33, 5000, bytes.length]) {
      client.write(bytes.subarray(end === 10 ? 0 : Math.min(bytes.length, previous(end)), end));
      await new Promise(setImmediate);
    }
    expect((await client.reply()).error).toBe(0);
    expect(image(3, length).equals(payload)).toBe(true);
    expect(image(3 + length, 1)[0]).toBe((3 + length) % 251);
  });

  it('flushes, trims, zeroes and caches', async () => {
    for (const type of [FLUSH, TRIM, ZEROES, CACHE]) {
      const sized = type === FLUSH ? {} : { offset: 4096, length: 8192 };
      expect((await client.ask({ type, ...sized })).error).toBe(0);
    }
    expect(calls()).toEqual(['flush_to_os', 'discard 8192@4096', 'zero 8192@4096 flags=4', 'read 8192@4096']);
    expect(image(4096, 8192).every((byte) => byte === 0)).toBe(true);
  });

  it('answers requests that come together, each with its cookie', async () => {
    const requests = [1, 2, 3, 4, 5].map((cookie) =>
      encodeRequest({ type: READ, cookie: BigInt(cookie), offset: cookie, length: 10 }, style === 'extended'),
    );
    client.write(Buffer.concat(requests));
    for (const cookie of [1, 2, 3, 4, 5]) {
      const reply = await client.reply(10);
      expect(reply.cookie).toBe(BigInt(cookie));
      expect(reply.data.subarray(-10).equals(image(cookie, 10))).toBe(true);
    }
  });

  it.each([
    ['a read beyond the end', { type: READ, offset: MIB - 1, length: 2 }, 22],
    ['a read far beyond the end', { type: READ, offset: 0xffffffffffffffffn, length: 1 }, 22],
    ['a read of more than a payload', { type: READ, length: (32 << 20) + 1 }, 22],
    ['a trim beyond the end', { type: TRIM, offset: MIB, length: 1 }, 22],
    ['zeroes beyond the end', { type: ZEROES, offset: MIB - 4096, length: 0xffffffff }, 28],
    ['an unknown type', { type: 77 }, 22],
    ['an unknown flag', { type: FLUSH, flags: 0x8000 }, 22],
    ['a flag of another type', { type: READ, flags: 2, length: 1 }, 22],
    ['REQ_ONE on a read', { type: READ, flags: 8, length: 1 }, 22],
  ])('refuses %s and goes on', async (_what, request, error) => {
    client.send(request);
    const reply = await client.reply();
    expect([reply.error, reply.cookie]).toEqual([error, 7n]);
    if (style === 'extended') expect(reply.offset).toBe(BigInt('offset' in request ? request.offset : 0));
    expect((await client.ask({ type: FLUSH })).error).toBe(0);
    expect(calls()).toEqual(['flush_to_os']);
  });

  it('skips the payload of a write that it refuses', async () => {
    const payload = encodeRequest({ type: READ, length: 1 }, false);
    const length = payload.length;
    client.send({ type: WRITE, flags: payloadFlag(style), offset: MIB - 1, length, payload });
    expect((await client.reply()).error).toBe(28);
    client.send({ type: WRITE, flags: payloadFlag(style) | 0x40, length: 300_000, payload: Buffer.alloc(300_000) });
    expect((await client.reply()).error).toBe(22);
    expect((await client.ask({ type: FLUSH })).error).toBe(0);
  });

  it('answers a write of 4 GiB and ends the connection', async () => {
    client.send({ type: WRITE, flags: payloadFlag(style), length: 0xffffffff });
    expect((await client.reply()).error).toBe(22);
    await client.closed();
    expect(rig.lines[0]).toContain('a request has a payload of 4294967295 bytes; disconnected');
  });

  it('ends with a request without its magic number', async () => {
    client.write(Buffer.alloc(32, 'x'));
    await client.closed();
    expect(rig.lines[0]).toContain('a request has the wrong magic number');
  });

  it.each([
    [Errno.EIO, 5],
    [Errno.ENOSPC, 28],
    [Errno.EDQUOT, 28],
    [Errno.EFBIG, 28],
    [Errno.EROFS, 1],
    [Errno.ENOMEM, 12],
    [Errno.ENOTSUP, 95],
    [Errno.EOVERFLOW, 75],
    [Errno.ECANCELED, 5],
    [Errno.EBADF, 22],
  ])('passes errno %i on as %i', async (errno, error) => {
    rig.memory.state.failures.set('read', errno);
    client.send({ type: READ, length: 4096 });
    const reply = await client.reply();
    expect(reply.error).toBe(error);
    expect((await client.ask({ type: READ, length: 16 })).error).toBe(0);
  });

  it('does what was begun before DISC, and ends', async () => {
    client.write(
      Buffer.concat([
        encodeRequest({ type: READ, length: 5 }, style === 'extended'),
        encodeRequest({ type: DISC }, style === 'extended'),
      ]),
    );
    expect((await client.reply(5)).error).toBe(0);
    expect((await client.closed()).length).toBe(0);
    expect(rig.lines).toEqual([]);
  });
});

/** Where the piece before the one that ends at `end` ended. */
function previous(end: number): number {
  const ends = [10, 30, 33, 5000];
  return ends.findLast((other) => other < end) ?? 0;
}

describe('flags', () => {
  it('make writes persistent with FUA, each in its way', async () => {
    const client = await RawClient.open(rig.address);
    client.send({ type: WRITE, flags: 1, length: 512, payload: Buffer.alloc(512) });
    expect((await client.reply()).error).toBe(0);
    await client.ask({ type: ZEROES, flags: 1, length: 512 });
    await client.ask({ type: TRIM, flags: 1, length: 512 });
    // One flush for each; the disk is asked where a write has ended before.
    const disk = ['flush_to_os', 'flush'];
    expect(calls()).toEqual(['write 512@0', 'flush_to_os', 'zero 512@0 flags=4', ...disk, 'discard 512@0', ...disk]);
    // FUA means nothing to others, and is no error.
    expect((await client.ask({ type: READ, flags: 1, length: 1 })).error).toBe(0);
    expect((await client.ask({ type: FLUSH, flags: 1 })).error).toBe(0);
  });

  it('NO_HOLE asks for zeroes without a hole, FAST_ZERO refuses what would be slow', async () => {
    const client = await RawClient.open(rig.address);
    await client.ask({ type: ZEROES, flags: 2, length: 512 });
    expect(calls()).toEqual(['zero 512@0']);
    expect((await client.ask({ type: ZEROES, flags: 16, length: 512 })).error).toBe(95);
    expect(calls().length).toBe(1);
    rig.memory.node.supportedZeroFlags |= Req.NO_FALLBACK;
    expect((await client.ask({ type: ZEROES, flags: 16, length: 512 })).error).toBe(0);
    expect(calls().at(-1)).toBe('zero 512@0 flags=260');
  });

  it('DF needs structured replies', async () => {
    const simple = await RawClient.open(rig.address, { style: 'simple' });
    simple.send({ type: READ, flags: 4, length: 1 });
    expect((await simple.reply()).error).toBe(22);
    const structured = await RawClient.open(rig.address);
    expect((await structured.ask({ type: READ, flags: 4, length: 65_536 })).data.length).toBe(65_544);
  });

  it('PAYLOAD_LEN belongs to extended headers', async () => {
    const compact = await RawClient.open(rig.address);
    compact.send({ type: WRITE, flags: 0x20, length: 4, payload: Buffer.alloc(4) });
    expect((await compact.reply()).error).toBe(22);
    const extended = await RawClient.open(rig.address, { style: 'extended' });
    extended.send({ type: WRITE, length: 4 });
    expect((await extended.reply()).error).toBe(22);
    extended.send({ type: TRIM, flags: 0x20, length: 4, payload: Buffer.alloc(4) });
    expect((await extended.reply()).error).toBe(22);
    expect((await extended.ask({ type: FLUSH })).error).toBe(0);
  });
});

describe('errors in structured replies', () => {
  it('carry a message', async () => {
    const client = await RawClient.open(rig.address);
    rig.memory.state.failures.set('write', Errno.ENOSPC);
    client.send({ type: WRITE, length: 512, payload: Buffer.alloc(512) });
    const reply = await client.reply();
    expect([reply.type, reply.isLast, reply.error]).toEqual([0x8001, true, 28]);
    expect(message(reply.data)).toBe('write: No space left on device');
  });
});

describe('a read-only export', () => {
  it('says so, and refuses what would change it', async () => {
    await rig.end();
    rig = await Rig.make({ isReadOnly: true });
    const client = await RawClient.open(rig.address);
    for (const type of [TRIM, ZEROES]) expect((await client.ask({ type, length: 512 })).error).toBe(1);
    client.send({ type: WRITE, length: 512, payload: Buffer.alloc(512) });
    const reply = await client.reply();
    expect([reply.error, message(reply.data)]).toEqual([1, 'write: the export is read-only']);
    expect((await client.ask({ type: FLUSH })).error).toBe(0);
    expect((await client.ask({ type: READ, length: 512 })).error).toBe(0);
  });
});

describe('block status', () => {
  /** 64 KiB each of data, zeroes, a hole without zeroes, and data again for the rest. */
  const overrides: Partial<Driver<MemoryState>> = {
    supportsBacking: true,
    async blockStatus(node, _wantZero, offset, bytes) {
      const kinds = [Status.DATA, Status.ZERO, Status.DATA | Status.ZERO];
      const index = Math.floor(offset / 65_536);
      const flags = (kinds[index] ?? Status.DATA) | Status.OFFSET_VALID;
      const rest = index < 3 ? 65_536 - (offset % 65_536) : bytes;
      return { flags, bytes: Math.min(rest, bytes), map: offset, file: node };
    },
  };
  const both = ['base:allocation', 'qemu:allocation-depth'];

  beforeEach(async () => {
    await rig.end();
    rig = await Rig.make({ overrides });
  });

  const extents = (data: Buffer) => {
    const found: [number, number][] = [];
    for (let at = 4; at < data.length; at += 8) found.push([data.readUInt32BE(at), data.readUInt32BE(at + 4)]);
    return found;
  };

  it('tells of each context in a chunk', async () => {
    const client = await RawClient.open(rig.address, { contexts: both });
    client.send({ type: STATUS, offset: 1000, length: 300_000 });
    const allocation = await client.reply();
    expect([allocation.type, allocation.isLast, allocation.data.readUInt32BE(0)]).toEqual([5, false, 0]);
    expect(extents(allocation.data)).toEqual([
      [64_536, 0],
      [65_536, 3],
      [65_536, 2],
      [104_392, 0],
    ]);
    const depth = await client.reply();
    expect([depth.type, depth.isLast, depth.data.readUInt32BE(0)]).toEqual([5, true, 1]);
    expect(extents(depth.data)).toEqual([[300_000, 1]]);
  });

  it('tells one extent with REQ_ONE', async () => {
    const client = await RawClient.open(rig.address, { contexts: ['base:allocation'] });
    const reply = await client.ask({ type: STATUS, flags: 8, offset: 65_536, length: 1000 });
    expect(extents(reply.data)).toEqual([[1000, 3]]);
    expect(extents((await client.ask({ type: STATUS, flags: 8, length: MIB })).data)).toEqual([[65_536, 0]]);
  });

  it('tells no more extents than its limit', async () => {
    await rig.end();
    rig = await Rig.make({ overrides, limits: { maxExtents: 2 } });
    const client = await RawClient.open(rig.address, { contexts: ['base:allocation'] });
    expect(extents((await client.ask({ type: STATUS, length: MIB })).data)).toEqual([
      [65_536, 0],
      [65_536, 3],
    ]);
  });

  it('has longer extents with extended headers', async () => {
    const client = await RawClient.open(rig.address, { style: 'extended', contexts: ['qemu:allocation-depth'] });
    const { type, data } = await client.ask({ type: STATUS, offset: 5, length: MIB - 5 });
    expect([type, data.length, data.readUInt32BE(0), data.readUInt32BE(4)]).toEqual([6, 24, 1, 1]);
    expect([data.readBigUInt64BE(8), data.readBigUInt64BE(16)]).toEqual([BigInt(MIB - 5), 1n]);
  });

  const payload = (length: number, ids: number[]) => {
    const bytes = Buffer.alloc(8 + ids.length * 4);
    bytes.writeBigUInt64BE(BigInt(length));
    ids.forEach((id, index) => bytes.writeUInt32BE(id, 8 + index * 4));
    return bytes;
  };

  it('is told which contexts are wanted by a payload', async () => {
    const client = await RawClient.open(rig.address, { style: 'extended', contexts: both });
    const wanted = payload(4096, [1]);
    client.send({ type: STATUS, flags: 0x20, offset: 512, length: wanted.length, payload: wanted });
    const reply = await client.reply();
    expect([reply.isLast, reply.data.readUInt32BE(0), reply.data.readBigUInt64BE(8)]).toEqual([true, 1, 4096n]);
    for (const wrong of [
      payload(4096, [2]),
      payload(4096, [1, 1]),
      payload(4096, []),
      payload(0, [1]),
      payload(2 * MIB, [1]),
      payload(4096, [0, 1, 0]),
      payload(4096, [1]).subarray(0, 11),
    ]) {
      client.send({ type: STATUS, flags: 0x20, length: wrong.length, payload: wrong });
      expect((await client.reply()).error).toBe(22);
    }
    expect((await client.ask({ type: FLUSH })).error).toBe(0);
  });

  it('refuses an empty range, and one beyond the end', async () => {
    const client = await RawClient.open(rig.address, { contexts: both });
    expect((await client.ask({ type: STATUS, length: 0 })).error).toBe(22);
    expect((await client.ask({ type: STATUS, offset: MIB, length: 1 })).error).toBe(22);
  });
});
