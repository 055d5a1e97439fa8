/** Watches: which requests they stop, before what they write is in the file, and which go on. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { expectGolden, hashOf, overDebug, type SeeSession, seeSession } from './see-session.ts';

const folder = useFolder();

async function qcow2(name: string): Promise<SeeSession & { file: string }> {
  const file = path.join(folder, `${name}.qcow2`);
  writeFileSync(file, makeImage());
  return { ...(await seeSession(overDebug(file), { isTerminal: true })), file };
}

async function raw(name: string, more = {}): Promise<SeeSession & { file: string }> {
  const file = path.join(folder, `${name}.raw`);
  writeFileSync(file, Buffer.alloc(1 << 20, 0xcd));
  const { 'node-name': _name, ...options } = overDebug(file, { driver: 'raw', ...more });
  return { ...(await seeSession(options, { isTerminal: true })), file };
}

const timeless = (text: string): string => text.replaceAll(/\b\d+\.\ds\b/g, 'TIME');

it('the L2 entry, the refcount and the data of a cluster: each stops where it is about to change', async () => {
  const see = await qcow2('all');
  const text = await see.talk(
    'write -q 0 64k',
    'watch l2 128k L',
    'watch refcount 0x60000 R',
    'watch cluster 0x60000 C',
    'rules',
    'aio_write -P 1 128k 64k',
    'wait_break C',
    'suspended',
    'resume',
    'aio_flush',
    'flush',
    'suspended',
    'where 128k',
    'resume',
    'aio_flush',
    'where 128k',
    'resume',
    'aio_flush',
    'rules',
  );
  expectGolden('watch', timeless(text).replaceAll(folder, 'FOLDER'));
  await see.close();
});

it('a refcount of one bit is told from its neighbours in the byte', async () => {
  const file = path.join(folder, 'narrow.qcow2');
  const empty = await seeSession({ driver: 'null-co' });
  await empty.talk(`create -q -f qcow2 -o refcount_bits=1,cluster_size=512 ${file} 1M`);
  await empty.close();
  const see = await seeSession(overDebug(file), { isTerminal: true, writethrough: true });
  await see.talk('watch refcount 0 A', 'watch refcount 0x800 B');
  const text = await see.talk('aio_write 0 512', 'aio_flush');
  expect(text).toMatch(/rule 2: w\d+ changes the refcount of cluster 0x800 at 0x400 from 0x0 to 0x1/);
  expect(text).not.toContain('cluster 0 at');
  await see.talk('remove_break B', 'aio_flush');
  await see.close();
});

it('a flush is stopped where it writes what others have changed', async () => {
  const file = path.join(folder, 'flush.qcow2');
  writeFileSync(file, makeImage());
  const see = await seeSession(overDebug(file), { isTerminal: true, writethrough: false });
  await see.talk('write -q 0 64k', 'watch l2 64k W', 'write -q 64k 64k');
  const text = await see.talk('flush', 'suspended', 'resume', 'flush', 'remove_break W', 'rules');
  expect(text).toMatch(/rule 1: f\d+ changes the L2 entry of guest 0x10000 at 0x\w+ from 0x0 to 0x8/);
  expect(text).toMatch(/W +f\d+ +flush .* file write /);
  await see.close();
});

it('what is in the file when a request stops is what was there before', async () => {
  const see = await raw('before');
  const before = hashOf(see.file);
  const text = await see.talk(
    'watch range 64k..128k A',
    'aio_write -P 1 60k 8k',
    'aio_write -z 100k 4k',
    'wait_break A',
    'suspended',
  );
  expect(text).toContain('w4 changes the data, at 0x10000');
  expect(hashOf(see.file)).toBe(before);
  await see.talk('resume A', 'resume A', 'aio_flush');
  const after = readFileSync(see.file);
  expect(after.subarray(60 << 10, 68 << 10).equals(Buffer.alloc(8 << 10, 1))).toBe(true);
  expect(after.subarray(100 << 10, 104 << 10).equals(Buffer.alloc(4 << 10))).toBe(true);
  await see.close();
});

it('a discard that takes data away stops, and one of zeroes does not', async () => {
  const see = await raw('discard', { discard: 'unmap', 'file.discard': 'unmap', 'file.image.discard': 'unmap' });
  await see.talk('write -q -z 128k 64k', 'watch range 0..1M A');
  expect(await see.talk('discard -q 128k 64k')).toBe('> discard -q 128k 64k\n');
  expect(await see.talk('discard -q 64k 64k', 'suspended')).toContain('file discard 64k@0x10000');
  await see.talk('resume A');
  await see.close();
});

it('a shorter file stops where it takes something away that is watched, of a raw image and of a qcow2 one', async () => {
  const see = await raw('cut');
  await see.talk('watch range 512k..768k A', 'watch range 0..256k B', 'watch range 900k C iotype=discard');
  const cut = await see.talk('truncate 640k', 'suspended');
  expect(cut).toMatch(/rule 1: t\d+ cuts off the data at 0xa0000\n/);
  expect(cut).not.toMatch(/rule [23]:/);
  expect(timeless(cut)).toMatch(/A +t\d+ +truncate +640k +- +file truncate @0xa0000 +TIME/);
  expect(readFileSync(see.file)).toHaveLength(1 << 20);
  await see.talk('resume A', 'aio_flush');
  expect(readFileSync(see.file)).toHaveLength(640 << 10);
  // Longer again, and shorter behind it: nothing of the range is there any more.
  expect(await see.talk('truncate 1M', 'truncate 800k')).toBe('> truncate 1M\n> truncate 800k\n');
  const before = hashOf(see.file);
  const stuck = await see.talk('truncate 600k', 'aio_flush');
  expect(stuck).toMatch(/aio_flush: 'A': truncate at offset 614400, suspended at file truncate @0x96000 for 0\.\d s\n/);
  expect(await see.talk('cancel A', 'aio_flush')).toContain('Operation canceled');
  expect(hashOf(see.file)).toBe(before);
  await see.close();

  const formatted = await qcow2('cut');
  await formatted.talk('write -q 0 64k', 'write -q 512k 64k', 'flush');
  await formatted.talk('watch cluster 0x60000 C', 'watch l2 0 A', 'watch l2 512k B', 'watch refcount 0x60000 R');
  const on = ['resume', 'aio_flush'];
  const text = await formatted.talk('truncate 256k', ...on, ...on, ...on, ...on);
  expect(text.split('\n').filter((line) => line.startsWith('blkdebug: rule'))).toEqual([
    'blkdebug: rule 1: t9 changes the cluster, at 0x60000',
    'blkdebug: rule 3: t9 changes the L2 entry of guest 0x80000 at 0x40040 from 0x8000000000060000 to 0x0',
    'blkdebug: rule 4: t9 changes the refcount of cluster 0x60000 at 0x2000c from 0x1 to 0x0',
    'blkdebug: rule 1: t9 cuts off the cluster at 0x60000',
  ]);
  expect(readFileSync(formatted.file)).toHaveLength(0x60000);
  await formatted.close();
});

it('of an image with its data elsewhere the entries are watched, and it is said that the data is not', async () => {
  const file = path.join(folder, 'elsewhere.qcow2');
  writeFileSync(file, makeImage({ dataFile: 'plain' }));
  writeFileSync(`${file}.data`, Buffer.alloc(1 << 20));
  const options = { ...overDebug(file), 'data-file.driver': 'file', 'data-file.filename': `${file}.data` };
  const see = await seeSession(options, { isTerminal: true });
  await see.talk('write -q 0 64k', 'flush');
  expect(await see.talk('watch range 64k..128k A')).toContain('(the data is in a file of its own, and not watched');
  expect(await see.talk('watch l2 64k B')).not.toContain('not watched');
  const text = await see.talk('write -q 64k 64k', 'flush');
  expect(text).toMatch(/rule 1: f\d+ changes the L2 entry of guest 0x10000 at 0x40008 from 0x0 to 0x8/);
  await see.talk('resume A', 'resume B', 'aio_flush');
  await see.close();
});

it('the same bytes again, neighbours, reads and other requests do not stop', async () => {
  const see = await raw('silent');
  await see.talk('watch range 64k..128k A', 'watch range 0..1M B op=discard', 'watch range 0..1M C state=2');
  const lines = [
    'write -q -P 0xcd 64k 64k',
    'write -q -P 1 0 64k',
    'write -q -P 1 128k 64k',
    'read -q 64k 64k',
    'flush',
  ];
  expect(await see.talk(...lines)).toBe(lines.map((line) => `> ${line}\n`).join(''));
  expect(await see.talk('suspended')).toContain('no request is suspended');
  await see.close();
});

it('the offset of a raw image counts, and above a format nothing can be watched', async () => {
  const see = await raw('offset', { offset: 65536, size: 131072 });
  expect(await see.talk('watch range 4k..5k A', 'aio_write -P 1 4k 512', 'wait_break A')).toContain('at 0x11000');
  await see.talk('resume A', 'aio_flush');
  await see.close();
  const file = path.join(folder, 'above.qcow2');
  writeFileSync(file, makeImage());
  const above = await seeSession(
    { driver: 'blkdebug', 'image.driver': 'qcow2', 'image.file.driver': 'file', 'image.file.filename': file },
    { isTerminal: true },
  );
  expect(await above.talk('watch range 0 A')).toContain('the driver qcow2 can only be read by requests');
  expect(await above.talk('watch l2 0 B')).toContain('only a range can be watched');
  await above.close();
});

it('an error of a rule still meets the request that was stopped', async () => {
  const see = await raw('error');
  await see.talk('watch range 0..64k A once=on', 'rule add inject-error event=write_aio errno=ENOSPC');
  expect(await see.talk('aio_write -P 1 0 4k', 'wait_break A', 'resume A', 'aio_flush')).toContain(
    'aio_write failed: No space left on device',
  );
  expect(await see.talk('cancel A', 'rules')).toMatch(/watch +A +none +range=0..64k once=on +exhausted +1/);
  await see.close();
});

it('a request that is cancelled at a watch has written nothing', async () => {
  const see = await raw('cancel');
  const before = hashOf(see.file);
  expect(
    await see.talk('watch range 0..64k A', 'aio_write -P 1 0 4k', 'wait_break A', 'cancel A', 'aio_flush'),
  ).toContain('Operation canceled');
  expect(hashOf(see.file)).toBe(before);
  await see.close();
});

it('the close of an image is not held by a watch', async () => {
  const file = path.join(folder, 'close.qcow2');
  writeFileSync(file, makeImage());
  const see = await seeSession(overDebug(file), { writethrough: false });
  await see.talk('write -q 0 64k', 'flush', 'watch l2 64k A', 'write -q 64k 64k');
  await see.close();
  expect(see.session.exitStatus).toBe(0);
});

it('words that make no watch are refused, and set none', async () => {
  const see = await qcow2('refused');
  const lines = [
    'watch',
    'watch l3 0 A',
    'watch l2 x A',
    'watch l2 1T A',
    'watch range 5..5 A',
    'watch range 1..2..3 A',
    'watch range 0 A event=none',
    'watch range 0 A offset=0..1',
    'watch range 0 A foo=1',
    'rule add watch tag=A l2=0',
    'rules',
  ];
  expectGolden('watch-refused', await see.talk(...lines));
  const plain = await raw('refused');
  expect(await plain.talk('watch l2 0 A')).toContain('watch range');
  await plain.close();
  await see.close();
});

it('a breakpoint with iotype or sector stops at the request to the file, behind its event', async () => {
  const see = await qcow2('iotype');
  const text = await see.talk(
    'write -q 0 64k',
    'break write_aio A iotype=write',
    'break pwritev B sector=1',
    'break flush_to_disk C iotype=flush op=flush',
    'rules',
    'aio_write -P 1 0 4k',
    'suspended',
    'resume A',
    'aio_flush',
    'rules',
    'break * A iotype=read',
    'aio_read 0 4k',
    'suspended',
    'resume',
    'aio_flush',
    'break pwritev D iotype=nothing',
  );
  expectGolden('break-iotype', timeless(text));
  await see.close();
});

it('an armed stop at any event, and one of step, are listed', async () => {
  const see = await qcow2('any');
  const text = await see.talk(
    'break * A',
    'break -p * B op=discard nth=2',
    'break -l * hello op=write times=2',
    'break -l nowhere hello',
    'rules',
    'aio_write 0 4k',
    'rules',
    'until l1_update',
    'rules',
    'rule disable all',
    'rule enable 1',
    'read -q 0 4k',
    'suspended',
    'resume',
  );
  expectGolden('break-any', timeless(text));
  expect(await see.json('rules -j')).toMatchObject([{ number: 1, event: '*', status: 'exhausted' }, {}, {}]);
  await see.close();
});
