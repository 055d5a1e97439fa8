/** The hazards of a qcow2 image with its data in a file of its own: its places are not those of the image file. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { pwritev } from '../../src/block/request/write.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { HostImages } from '../helpers/host-images.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { type HazardImage, runLines } from './run-lines.ts';

const folder = useFolder();
writeFileSync(path.join(folder, 'base.raw'), Buffer.alloc(1 << 20, 0xbb));

const plain: HazardImage = { qcow2: { dataFile: 'plain' } };
const raw: HazardImage = { qcow2: { dataFile: 'raw' } };
const backing = { filename: path.join(folder, 'base.raw'), format: 'raw' };
const overBase: HazardImage = { qcow2: { dataFile: 'plain', backing } };

/** The hazards of a script, requests without their numbers. */
async function hazards(image: HazardImage, ...lines: string[]): Promise<readonly string[]> {
  const { hazards: found, stdout } = await runLines(folder, image, lines);
  const waits = lines.filter((line) => line.startsWith('wait_break')).length;
  expect(stdout.match(/Suspended request/g)?.length ?? 0, stdout).toBeGreaterThanOrEqual(waits);
  return found.map((text) => text.replace(/\b([a-z])\d+\b/g, '$1'));
}

const held = (offset: string): string[] => ['break write_aio A', `aio_write -q -P 2 ${offset} 4k`, 'wait_break A'];

it.each([
  ['discard -q 0 128k', 'd (discard 128k@0)'],
  ['write -q -z -u 0 128k', 'w (write -z 128k@0)'],
])('a cluster of the data file that is given back under a write is told: %s', async (line, who) => {
  const found = await hazards(plain, 'write -q 0 128k', ...held('4k'), line, 'resume A', 'aio_flush');
  expect(found).toEqual([`${who} frees data file 0 under w (write 4k@4k)`]);
});

it('so is a disk that is made shorter', async () => {
  const found = await hazards(plain, 'write -q 960k 64k', ...held('960k'), 'truncate 512k', 'resume A', 'aio_flush');
  expect(found).toEqual(['t (truncate @512k) frees data file 960k under w (write 4k@960k)']);
});

it('not so beside it, under a read, and where zeroes keep the cluster', async () => {
  for (const image of [plain, raw]) {
    const lines = ['write -q 0 128k', ...held('0')];
    expect(await hazards(image, ...lines, 'discard -q 64k 64k', 'resume A', 'aio_flush')).toEqual([]);
    expect(await hazards(image, ...lines, 'write -q -z 0 64k', 'resume A', 'aio_flush')).toEqual([]);
    const read = ['write -q 0 64k', 'break read_aio A', 'aio_read -q 0 4k', 'wait_break A'];
    expect(await hazards(image, ...read, 'discard -q 0 64k', 'resume A', 'aio_flush')).toEqual([]);
  }
});

it('two askers that write one range of the data file are told, one is not', async () => {
  for (const zeroes of [false, true]) {
    const host = new HostImages();
    writeFileSync(host.path('disk'), makeImage({ dataFile: 'raw' }));
    writeFileSync(host.path('data'), Buffer.alloc(1 << 20));
    const image = await host.open({
      driver: 'qcow2',
      'file.driver': 'blkdebug',
      'file.image.driver': 'file',
      'file.image.filename': host.path('disk'),
      'data-file.driver': 'file',
      'data-file.filename': host.path('data'),
    });
    const { loop, trace } = image.top;
    const spawn = (origin: string | null, body: () => ReturnType<typeof pwritev>): Promise<unknown> =>
      loop.spawn({ operation: 'write', offset: 0, bytes: 65_536, origin }, body, () => {});
    const write = (origin: string | null): Promise<unknown> =>
      spawn(origin, () => pwritev(image.root, 0, Buffer.alloc(65_536, 7), 0));
    const file = image.top.file?.node;
    const debug = file?.driver.debugPort?.(file);
    await write(null);
    debug?.setBreakpoint('write_aio', 'A');
    await write('client 1');
    await write('client 1');
    expect(trace.history.firstHazards).toEqual([]);
    if (zeroes) await spawn(null, () => image.pwriteZeroes(0, 65_536, 0));
    else await write(null);
    expect(trace.history.firstHazards).toHaveLength(1);
    expect(trace.history.firstHazards[0]).toMatch(
      /^w\d+ \(write (-z )?64k@0\) and w\d+ \(write 64k@0\) both write data file 0$/,
    );
    await debug?.resume('A');
    while (await loop.poll(false));
    await host.remove();
  }
});

it('metadata at the same offset of the image file is no hazard', async () => {
  // The L2 table is at 256k of the image file.
  const lines = ['write -q 256k 64k', ...held('256k'), 'write -q 0 64k', 'flush', 'resume A', 'aio_flush'];
  expect(await hazards(plain, ...lines)).toEqual([]);
});

it('an L2 entry is told that is written before old data is on the disk: QEMU flushes the other file', async () => {
  const text = 'f (flush) writes the L2 entry of w for guest 0 before the old data copied to data file 0 is on disk';
  expect(await hazards(overBase, 'write -q -P 1 0 4k', 'flush')).toEqual([text]);
  // The data that is all of the cluster is the guest's, and nothing is copied where nothing was.
  expect(await hazards(overBase, 'write -q -P 1 0 64k', 'flush')).toEqual([]);
  expect(await hazards(plain, 'write -q -P 1 0 4k', 'flush')).toEqual([]);
});

it('a new L2 table that never came to the disk is told, one that did is not', async () => {
  expect(await hazards(plain, 'rule add drop event=l2_update once=on', 'write -q -P 3 0 64k')).toEqual([
    'w (write 64k@0) writes the L1 entry for guest 0 before the new L2 table at file 256k is on disk',
  ]);
  expect(await hazards(plain, 'write -q -P 3 0 64k')).toEqual([]);
});

it('a table that is given back and not counted is told; nothing counts data', async () => {
  const lines = ['write -q 0 64k', 'flush'];
  // The refcount of the L2 table.
  const damage = ['poke 0x20008 00 00', 'reopen -c writeback'];
  expect(await hazards(plain, ...lines, ...damage, 'truncate 0')).toEqual([
    't (truncate @0) gives back file 256k, whose refcount is 0 already',
  ]);
  expect(await hazards(plain, ...lines, 'reopen -c writeback', 'truncate 0')).toEqual([]);
  // The entry of a write gets a cluster back that was given away meanwhile.
  const zeroed = ['write -q 64k 64k', 'write -q -z 64k 64k', ...held('64k')];
  expect(await hazards(plain, ...zeroed, 'discard -q 64k 64k', 'resume A', 'aio_flush')).toEqual([
    'd (discard 64k@64k) frees data file 64k under w (write 4k@64k)',
  ]);
});
