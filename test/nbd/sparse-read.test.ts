/** Long reads of clients with structured replies: zeroes that the image knows are told as holes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Driver } from '../../src/block/driver.ts';
import { Status } from '../../src/block/flags.ts';
import { Errno } from '../../src/util/errno.ts';
import type { MemoryState } from '../helpers/memory-node.ts';
import { RawClient } from './raw-client.ts';
import { Rig } from './rig.ts';

const READ = 0;
const DF = 4;
const KIB = 1 << 10;
const DATA_CHUNK = 1;
const HOLE_CHUNK = 2;
const ERROR_CHUNK = 0x8001;

/** 64 KiB each of data and of zeroes in turn, but for 512 bytes of zeroes amid the first data. */
const overrides: Partial<Driver<MemoryState>> = {
  async blockStatus(node, _wantZero, offset, bytes) {
    const edges = [1024, 1536, 64 * KIB];
    const edge = edges.find((at) => offset < at);
    const isZero = edge === 1536 || (edge === undefined && Math.floor(offset / (64 * KIB)) % 2 === 1);
    const end = edge ?? (Math.floor(offset / (64 * KIB)) + 1) * 64 * KIB;
    const flags = (isZero ? Status.ZERO : Status.DATA) | Status.OFFSET_VALID;
    return { flags, bytes: Math.min(end - offset, bytes), map: offset, file: node };
  },
};

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make({ overrides });
  rig.memory.state.bytes.forEach((_byte, index, bytes) => {
    bytes[index] = index % 251;
  });
});
afterEach(() => rig.end());

/** The chunks of one reply: what each is, where it begins, and how long it is. */
async function chunks(client: RawClient): Promise<{ list: [number, number, number][]; data: Buffer[] }> {
  const list: [number, number, number][] = [];
  const data: Buffer[] = [];
  for (;;) {
    const reply = await client.reply();
    const isHole = reply.type === HOLE_CHUNK;
    const bytes = isHole ? reply.data.readUInt32BE(8) : reply.data.length - 8;
    list.push([reply.type, Number(reply.data.readBigUInt64BE(0)), bytes]);
    if (!isHole) data.push(reply.data.subarray(8));
    if (reply.isLast) return { list, data };
  }
}
const image = (offset: number, bytes: number) => rig.memory.state.bytes.subarray(offset, offset + bytes);
const reads = () => rig.calls.filter((call) => call.startsWith('read'));

describe.each(['structured', 'extended'])('a read with %s headers', (style) => {
  it('tells holes and sends the data between them', async () => {
    const client = await RawClient.open(rig.address, { style });
    client.send({ type: READ, offset: 100, length: 200 * KIB });
    const { list, data } = await chunks(client);
    expect(list).toEqual([
      [DATA_CHUNK, 100, 64 * KIB - 100],
      [HOLE_CHUNK, 64 * KIB, 64 * KIB],
      [DATA_CHUNK, 128 * KIB, 64 * KIB],
      [HOLE_CHUNK, 192 * KIB, 8 * KIB + 100],
    ]);
    expect(data[0]?.equals(image(100, 64 * KIB - 100))).toBe(true);
    expect(data[1]?.equals(image(128 * KIB, 64 * KIB))).toBe(true);
    expect(reads()).toEqual([`read ${64 * KIB - 100}@100`, `read ${64 * KIB}@${128 * KIB}`]);
  });

  it('is one hole, or one run of data, where the range is', async () => {
    const client = await RawClient.open(rig.address, { style });
    client.send({ type: READ, offset: 64 * KIB, length: 64 * KIB });
    expect((await chunks(client)).list).toEqual([[HOLE_CHUNK, 64 * KIB, 64 * KIB]]);
    client.send({ type: READ, offset: 0, length: 64 * KIB });
    const { list, data } = await chunks(client);
    expect(list).toEqual([[DATA_CHUNK, 0, 64 * KIB]]);
    expect(data[0]?.equals(image(0, 64 * KIB))).toBe(true);
  });

  it('has no holes if it is short or asks for one chunk', async () => {
    const client = await RawClient.open(rig.address, { style });
    client.send({ type: READ, offset: 64 * KIB, length: 64 * KIB - 1 });
    expect((await chunks(client)).list).toEqual([[DATA_CHUNK, 64 * KIB, 64 * KIB - 1]]);
    client.send({ type: READ, flags: DF, offset: 0, length: 128 * KIB });
    expect((await chunks(client)).list).toEqual([[DATA_CHUNK, 0, 128 * KIB]]);
  });

  it('is an error as a whole if a part fails', async () => {
    const client = await RawClient.open(rig.address, { style });
    rig.memory.state.failures.set('read', Errno.EIO);
    const reply = await client.ask({ type: READ, offset: 0, length: 128 * KIB });
    expect([reply.type, reply.isLast, reply.error]).toEqual([ERROR_CHUNK, true, Errno.EIO]);
  });
});

it('is plain data for a client with simple replies', async () => {
  const client = await RawClient.open(rig.address, { style: 'simple' });
  const reply = await client.ask({ type: READ, offset: 64 * KIB, length: 64 * KIB });
  expect(reply.data.equals(image(64 * KIB, 64 * KIB))).toBe(true);
});
