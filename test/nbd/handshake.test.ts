/** The handshake: every option, every refusal, and what a client is told. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NbdExport } from '../../src/nbd/export.ts';
import { contextQuery, encodeOption, infoQuery, type OptionAnswer, RawClient } from './raw-client.ts';
import { Rig } from './rig.ts';

const ACK = 1;
const INVALID = 0x80000003;
const UNKNOWN = 0x80000006;

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make({ description: 'a disk', requestAlignment: 512 });
});
afterEach(() => rig.end());

const types = (answers: OptionAnswer[]) => answers.map(({ type }) => type);
const last = (answers: OptionAnswer[]) => answers.at(-1)?.type;
const text = (answers: OptionAnswer[]) => answers.at(-1)?.data.toString();

/** The information of INFO or GO by its type. */
function infos(answers: OptionAnswer[]): Map<number, Buffer> {
  return new Map(answers.filter(({ type }) => type === 3).map(({ data }) => [data.readUInt16BE(0), data.subarray(2)]));
}

describe('the greeting', () => {
  it('offers fixed newstyle without zeroes', async () => {
    const client = await RawClient.connect(rig.address);
    expect((await client.read(18)).toString('latin1')).toBe('NBDMAGICIHAVEOPT\0\x03');
  });

  it('ends with a client that sets unknown flags', async () => {
    const client = await RawClient.greeted(rig.address, 0x80000001);
    await client.closed();
    expect(rig.lines[0]).toContain('unknown client flags 0x80000001; disconnected');
  });

  it('ends with an option without its magic number', async () => {
    const client = await RawClient.greeted(rig.address);
    client.write(Buffer.alloc(16, 'x'));
    await client.closed();
    expect(rig.lines[0]).toContain('an option has the wrong magic number');
  });

  it('takes what comes byte by byte', async () => {
    const client = await RawClient.connect(rig.address);
    await client.read(18);
    for (const byte of Buffer.concat([Buffer.from([0, 0, 0, 3]), encodeOption(3, Buffer.alloc(0))])) {
      client.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    expect((await client.read(20)).readUInt32BE(12)).toBe(2);
  });
});

describe('options', () => {
  let client: RawClient;
  beforeEach(async () => {
    client = await RawClient.greeted(rig.address);
  });

  it('lists exports with their descriptions', async () => {
    rig.server.addExport(new NbdExport({ name: 'zwei', backend: rig.backend }));
    const answers = await client.option(3);
    expect(types(answers)).toEqual([2, 2, ACK]);
    expect(answers[0]?.data.toString('latin1')).toBe('\0\0\0\0a disk');
    expect(answers[1]?.data.toString('latin1')).toBe('\0\0\0\x04zwei');
    expect(last(await client.option(3, Buffer.from('x')))).toBe(INVALID);
  });

  it('acknowledges ABORT, with any data, and ends', async () => {
    expect(types(await client.option(2, Buffer.from('bye')))).toEqual([ACK]);
    await client.closed();
    expect(rig.lines).toEqual([]);
  });

  it('knows no TLS and no other options', async () => {
    expect(types(await client.option(5))).toEqual([0x80000002]);
    expect(types(await client.option(99, Buffer.alloc(100)))).toEqual([0x80000001]);
    expect(last(await client.option(3))).toBe(ACK);
  });

  it('tells with INFO what it tells with GO, and goes on', async () => {
    const answers = await client.option(6, infoQuery('', [0, 1, 2, 3]));
    const told = infos(answers);
    expect(told.get(0)?.readBigUInt64BE(0)).toBe(1n << 20n);
    // Flags, flush, FUA, trim, zeroes, several connections, cache, fast zero.
    expect(told.get(0)?.readUInt16BE(8)).toBe(0b1101_0110_1101);
    expect(told.get(1)?.toString()).toBe('');
    expect(told.get(2)?.toString()).toBe('a disk');
    expect([0, 4, 8].map((at) => told.get(3)?.readUInt32BE(at))).toEqual([512, 4096, 32 << 20]);
    expect(last(answers)).toBe(ACK);
    const go = await client.option(7, infoQuery('', [0, 1, 2, 3]));
    expect(infos(go)).toEqual(told);
  });

  it('asks a client of INFO for block sizes, but lets GO pass with the smallest', async () => {
    expect(last(await client.option(6, infoQuery('')))).toBe(0x80000008);
    const go = await client.option(7, infoQuery(''));
    expect(infos(go).get(3)?.readUInt32BE(0)).toBe(1);
    expect(last(go)).toBe(ACK);
  });

  it.each([
    [1, 0, [1, 4096, 32 << 20]],
    [65_536, 1 << 20, [65_536, 65_536, 1 << 20]],
    [1 << 20, 512, [65_536, 65_536, 65_536]],
  ])('tells block sizes that the protocol allows: alignment %i, longest transfer %i', async (align, longest, sizes) => {
    rig.memory.node.limits.requestAlignment = align;
    rig.memory.node.limits.maxTransfer = longest;
    const told = infos(await client.option(6, infoQuery('', [3]))).get(3);
    expect([0, 4, 8].map((at) => told?.readUInt32BE(at))).toEqual(sizes);
  });

  it('refuses unknown names and goes on', async () => {
    const answers = await client.option(7, infoQuery('no\n"such"', [3]));
    expect(last(answers)).toBe(UNKNOWN);
    expect(text(answers)).toBe('export "no\\n\\"such\\"" does not exist');
    expect(last(await client.option(7, infoQuery('', [3])))).toBe(ACK);
  });

  it.each([
    ['no length', Buffer.alloc(3)],
    ['a name beyond the end', Buffer.from([0, 0, 0, 9, 0x61])],
    ['a name of 4 GiB', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x61, 0, 0])],
    ['a name of 5,000 bytes', infoQuery('x'.repeat(5000))],
    ['no count', infoQuery('').subarray(0, 5)],
    ['too few information requests', infoQuery('', [1, 2]).subarray(0, 8)],
    ['too many information requests', Buffer.concat([infoQuery('', [1]), Buffer.from('x')])],
  ])('refuses GO with %s', async (_what, data) => {
    expect(last(await client.option(7, data))).toBe(INVALID);
    expect(last(await client.option(3))).toBe(ACK);
  });

  it('skips an option that is too long, and ends with one of 4 GiB', async () => {
    expect(last(await client.option(3, Buffer.alloc(100_000)))).toBe(0x80000009);
    expect(last(await client.option(3))).toBe(ACK);
    client.write(encodeOption(3, Buffer.alloc(0), 0xffffffff));
    await client.closed();
    expect(rig.lines).toEqual([expect.stringContaining('option 3 has 4294967295 bytes of data')]);
  });

  it('agrees on structured replies once, and on extended headers over them', async () => {
    expect(last(await client.option(8, Buffer.from('x')))).toBe(INVALID);
    expect(last(await client.option(8))).toBe(ACK);
    expect(last(await client.option(8))).toBe(INVALID);
    expect(last(await client.option(11))).toBe(ACK);
    expect(last(await client.option(11))).toBe(INVALID);
    expect(last(await client.option(8))).toBe(0x8000000a);
    const told = infos(await client.option(7, infoQuery('', [3])));
    expect((told.get(0)?.readUInt16BE(8) ?? 0) & 0x80).toBe(0x80);
  });

  it('tells no DF to a client without structured replies', async () => {
    const told = infos(await client.option(7, infoQuery('', [3])));
    expect((told.get(0)?.readUInt16BE(8) ?? 0) & 0x80).toBe(0);
  });
});

describe('metadata contexts', () => {
  const both = ['base:allocation', 'qemu:allocation-depth'];
  const names = (answers: OptionAnswer[]) =>
    answers.filter(({ type }) => type === 4).map(({ data }) => `${data.readUInt32BE(0)} ${data.toString('utf8', 4)}`);
  let client: RawClient;
  beforeEach(async () => {
    client = await RawClient.greeted(rig.address);
  });

  it('need structured replies', async () => {
    expect(last(await client.option(9, contextQuery('', [])))).toBe(INVALID);
    expect(last(await client.option(10, contextQuery('', both)))).toBe(INVALID);
  });

  it('are listed: all, by namespace, by name', async () => {
    await client.option(8);
    expect(names(await client.option(9, contextQuery('', [])))).toEqual([
      '0 base:allocation',
      '0 qemu:allocation-depth',
    ]);
    expect(names(await client.option(9, contextQuery('', ['qemu:'])))).toEqual(['0 qemu:allocation-depth']);
    expect(names(await client.option(9, contextQuery('', ['base:allocation'])))).toEqual(['0 base:allocation']);
    expect(names(await client.option(9, contextQuery('', ['base:x', 'nocolon', 'x-y:z'])))).toEqual([]);
  });

  it('are set by their names only', async () => {
    await client.option(8);
    expect(names(await client.option(10, contextQuery('', both)))).toEqual([
      '0 base:allocation',
      '1 qemu:allocation-depth',
    ]);
    const none = await client.option(10, contextQuery('', ['base:', 'qemu:', 'x'.repeat(5000)]));
    expect(types(none)).toEqual([ACK]);
    expect(types(await client.option(10, contextQuery('', [])))).toEqual([ACK]);
  });

  it('are refused for an export that does not exist, and in the wrong form', async () => {
    await client.option(8);
    expect(last(await client.option(10, contextQuery('x', both)))).toBe(UNKNOWN);
    const query = contextQuery('', both);
    expect(last(await client.option(10, query.subarray(0, query.length - 1)))).toBe(INVALID);
    expect(last(await client.option(10, Buffer.concat([query, Buffer.from('x')])))).toBe(INVALID);
    const many = Buffer.alloc(8);
    many.writeUInt32BE(0xffffffff, 4);
    expect(last(await client.option(9, many))).toBe(INVALID);
  });

  it('hold only for the export that they were set for', async () => {
    rig.server.addExport(new NbdExport({ name: 'other', backend: rig.backend }));
    await client.option(8);
    await client.option(10, contextQuery('other', both));
    await client.option(7, infoQuery('', [3]));
    const reply = await client.ask({ type: 7, length: 512 });
    expect(reply.error).toBe(22);
    expect(reply.data.toString('utf8', 6)).toBe('map: no context was negotiated');
  });
});

describe('EXPORT_NAME', () => {
  it('tells length and flags, and zeroes only to a client that wants them', async () => {
    const modern = await RawClient.greeted(rig.address);
    modern.write(encodeOption(1, Buffer.alloc(0)));
    const told = await modern.read(10);
    expect(told.readBigUInt64BE(0)).toBe(1n << 20n);
    expect((await modern.ask({ type: 3 })).error).toBe(0);
    const old = await RawClient.greeted(rig.address, 0);
    old.write(encodeOption(1, Buffer.alloc(0)));
    expect((await old.read(134)).subarray(10).every((byte) => byte === 0)).toBe(true);
    expect((await old.ask({ type: 3 })).error).toBe(0);
  });

  it('is the only option without fixed newstyle', async () => {
    const client = await RawClient.greeted(rig.address, 2);
    client.write(encodeOption(3, Buffer.alloc(0)));
    expect((await client.closed()).length).toBe(0);
  });

  it('ends the connection for an unknown name, and after EXTENDED_HEADERS', async () => {
    const client = await RawClient.greeted(rig.address);
    client.write(encodeOption(1, Buffer.from('x')));
    await client.closed();
    const extended = await RawClient.greeted(rig.address);
    await extended.option(11);
    extended.write(encodeOption(1, Buffer.alloc(0)));
    await extended.closed();
    expect(rig.lines.map((line) => line.slice(line.indexOf(': ') + 2))).toEqual([
      'export "x" does not exist; disconnected',
      'EXPORT_NAME after EXTENDED_HEADERS; disconnected',
    ]);
  });
});
