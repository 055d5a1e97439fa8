/** Disks of vmdk in several files of all kinds and lengths, made field by field, for the random scripts. */
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { descriptorText, makeCowd, makeSparseExtent } from '../helpers/vmdk-images.js';
import { vmdkKind } from './format-kinds.ts';
import type { ImageContent, ImageKind } from './image-kind.ts';

const SECTOR_BYTES = 512;

/** An extent. Lengths in sectors. */
interface ExtentContent {
  readonly kind: 'flat' | 'sparse' | 'stream' | 'cowd';
  readonly sectors: number;
  /** Of a flat extent: where it begins in its file. */
  readonly offset: number;
  readonly grainBytes: number;
  readonly tableEntries: number;
  readonly clusters: readonly number[];
  readonly hasBackup: boolean;
  readonly hasZeroGrains: boolean;
}

interface SplitContent extends ImageContent {
  readonly extents: readonly ExtentContent[];
  /** A parent of one extent: the grains that it has. */
  readonly parent: readonly number[] | null;
}

const someGrains = (max: number) => fc.uniqueArray(fc.nat(max), { maxLength: 6 });

const extentContent: fc.Arbitrary<ExtentContent> = fc
  .record({
    kind: fc.constantFrom('flat', 'sparse', 'sparse', 'sparse', 'stream', 'cowd'),
    sectors: fc.oneof(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 50 }).map((n) => n * 8),
    ),
    offset: fc.nat(30),
    grainBytes: fc.constantFrom(512, 4096, 4096, 65536),
    tableEntries: fc.constantFrom(8, 128, 512),
    hasBackup: fc.boolean(),
    hasZeroGrains: fc.boolean(),
    grains: someGrains(60),
  })
  .map(({ grains, ...extent }) => ({
    ...extent,
    clusters: grains.filter((grain) => (grain * extent.grainBytes) / SECTOR_BYTES < extent.sectors),
  }));

const content: fc.Arbitrary<SplitContent> = fc
  .record({
    extents: fc.array(extentContent, { minLength: 1, maxLength: 4 }),
    parent: fc.option(someGrains(100), { freq: 2 }),
  })
  .map(({ extents, parent }) => ({
    extents,
    parent,
    lengthBytes: extents.reduce((sum, { sectors }) => sum + sectors, 0) * SECTOR_BYTES,
  }));

function bytesOf({ kind, sectors, offset, ...extent }: ExtentContent): Buffer {
  const lengthBytes = sectors * SECTOR_BYTES;
  if (kind === 'flat') return Buffer.alloc(offset * SECTOR_BYTES + lengthBytes, 0x77);
  if (kind === 'cowd') {
    const { grainBytes, clusters } = extent;
    return makeCowd({ lengthBytes, grainBytes, clusters });
  }
  return makeSparseExtent({ ...extent, lengthBytes, isCompressed: kind === 'stream' });
}

function lineOf({ kind, sectors, offset }: ExtentContent, index: number): string {
  if (kind === 'flat') return `RW ${sectors} FLAT "e${index}.img" ${offset}`;
  return `RW ${sectors} ${kind === 'cowd' ? 'VMFSSPARSE' : 'SPARSE'} "e${index}.img"`;
}

export const splitVmdkKind: ImageKind<SplitContent> = {
  name: 'split-vmdk',
  driver: vmdkKind.driver,
  image: content,
  async create(sandbox, { extents, parent, lengthBytes }) {
    const write = (name: string, data: string | Buffer) => writeFileSync(sandbox.path(name), data);
    const lines = extents.map(lineOf);
    write('disk.img', descriptorText('vmfsSparse', lines, parent === null ? undefined : 'base.img'));
    for (const [index, extent] of extents.entries()) write(`e${index}.img`, bytesOf(extent));
    if (parent === null) return;
    write('base.img', descriptorText('twoGbMaxExtentSparse', [`RW ${lengthBytes / SECTOR_BYTES} SPARSE "base-e.img"`]));
    const clusters = parent.filter((grain) => grain * 4096 < lengthBytes);
    write('base-e.img', makeSparseExtent({ lengthBytes, clusters }));
  },
  describe: ({ extents, parent }) => `extents: ${JSON.stringify(extents)}\nparent: ${JSON.stringify(parent)}`,
  clusterBytes: () => 4096,
  hasOpenOrder: () => false,
  options: vmdkKind.options,
  switches: vmdkKind.switches,
  events: vmdkKind.events,
  script: vmdkKind.script,
};
