/** The vmdk driver over files: its check, its content ids, and new images. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkTwice } from '../../../src/block/image-check.ts';
import { createDisk } from '../../../src/drivers/vmdk/create-disk.ts';
import { withoutContentId } from '../../helpers/content-id.ts';
import { HostImages } from '../../helpers/host-images.ts';
import { CONTENT_ID, makeVmdk } from '../../helpers/vmdk-images.js';

const KIB = 1024;
/** The first entry of the table in use of a disk with one table. */
const FIRST_ENTRY = 27 * 512;

let host: HostImages;
beforeEach(() => {
  host = new HostImages();
});
afterEach(() => host.remove());

const open = () => host.open({ driver: 'vmdk', 'file.driver': 'file', 'file.filename': host.path('v') });
const contentId = (): string | undefined => /\nCID=(\w+)\n/.exec(host.bytes('v').toString('latin1'))?.[1];

it('is checked: a grain behind the end of the file is one line, and an error', async () => {
  const bytes = makeVmdk({ lengthBytes: 1024 * KIB, clusters: [0, 1] });
  writeFileSync(host.path('v'), bytes);
  const sound = await open();
  expect(await checkTwice(sound.top, 'none')).toMatchObject({ corruptions: 0, checkErrors: 0 });
  await host.close(sound);

  bytes.writeUInt32LE(0x1000, FIRST_ENTRY + 4);
  writeFileSync(host.path('v'), bytes);
  const damaged = await open();
  await expect(async () => checkTwice(damaged.top, 'none')).rejects.toThrow('Invalid argument');
  expect(host.warnings).toEqual(['ERROR: cluster offset for sector 8 points after EOF']);
  await expect(async () => checkTwice(damaged.top, 'all')).rejects.toThrow('does not support checks');
});

it('gets a new content id with its first write, and keeps that', async () => {
  writeFileSync(host.path('v'), makeVmdk({ lengthBytes: 1024 * KIB }));
  const image = await open();
  expect(contentId()).toBe(CONTENT_ID);
  await host.write(image, 0, KIB, 1);
  const first = contentId();
  expect(first).toMatch(/^[0-9a-f]{1,8}$/);
  expect(first).not.toBe(CONTENT_ID);
  await host.write(image, 64 * KIB, KIB, 1);
  expect(contentId()).toBe(first);
});

it('is made with the descriptor of qemu-img 7.2.22', async () => {
  await createDisk(
    host.context,
    host.path('disk.vmdk'),
    new Map([
      ['size', String(3 * KIB ** 3)],
      ['subformat', 'twoGbMaxExtentFlat'],
    ]),
  );
  expect(withoutContentId(readFileSync(host.path('disk.vmdk'))).toString()).toBe(`# Disk DescriptorFile
version=1
CID=xxxxxxxx
parentCID=ffffffff
createType="twoGbMaxExtentFlat"

# Extent description
RW 4194304 FLAT "disk-f001.vmdk" 0
RW 2097152 FLAT "disk-f002.vmdk" 0

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "6241"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
ddb.toolsVersion = "2147483647"
`);
});

it.each([
  ['monolithicSparse', 'off', 1, 3],
  ['monolithicSparse', 'on', 2, 7],
  ['streamOptimized', 'off', 3, 0x30003],
])('is made as %s with zeroed_grain=%s, to be opened again', async (subformat, zeroedGrain, version, flags) => {
  const values = new Map([
    ['size', String(1024 * KIB)],
    ['subformat', subformat],
    ['zeroed_grain', zeroedGrain],
  ]);
  await createDisk(host.context, host.path('v'), values);
  const head = host.bytes('v');
  expect([head.length, head.readUInt32LE(4), head.readUInt32LE(8)]).toEqual([64 * KIB, version, flags]);
  expect([head.readUInt32LE(21 * 512), head.readUInt32LE(26 * 512)]).toEqual([22, 27]);
  const image = await open();
  expect(image.getLength()).toBe(1024 * KIB);
  expect(await image.top.driver.getSpecificInfo?.(image.top)).toMatchObject({ 'create-type': subformat });
});
