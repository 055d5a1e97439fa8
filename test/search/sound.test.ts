/** On sound scenarios a search reports nothing: 200 of them, of all commands that change a disk, on many geometries. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readBaseline } from '../../src/search/aftermath.ts';
import { judge } from '../../src/search/judge.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { scenarioOf, worldOf } from './search-world.ts';

const folder = useFolder();
const at = (name: string): string => path.join(folder, name);
const DISK_BYTES = 256 << 10;

const anyGeometry = fc.record({
  version: fc.constantFrom(2 as const, 3 as const),
  clusterBits: fc.integer({ min: 9, max: 16 }),
  refcountOrder: fc.constantFrom(4, 4, 6, 0),
  extendedL2: fc.boolean(),
  lazyRefcounts: fc.boolean(),
  hasBacking: fc.boolean(),
  format: fc.constantFrom('qcow2', 'qcow2', 'qcow2', 'raw'),
  writethrough: fc.boolean(),
});

const anyRange = fc
  .tuple(fc.nat({ max: DISK_BYTES - 1 }), fc.integer({ min: 1, max: 40_000 }), fc.boolean())
  .map(([offset, bytes, isAligned]) => {
    const from = isAligned ? offset - (offset % 512) : offset;
    const count = Math.min(isAligned ? bytes + 512 - (bytes % 512) : bytes, DISK_BYTES - from);
    return `${from} ${count}`;
  });

/** Requests that change the same clusters run one after the other: QEMU's own races are for `explore` to find. */
const anyCommands = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(anyRange, fc.nat({ max: 255 })).map(([range, value]) => [`write -P ${value} ${range}`]),
  },
  { weight: 1, arbitrary: anyRange.map((range) => [`write ${range}`]) },
  { weight: 1, arbitrary: anyRange.map((range) => [`write -z ${range}`]) },
  { weight: 1, arbitrary: anyRange.map((range) => [`write -z -u ${range}`]) },
  { weight: 1, arbitrary: anyRange.map((range) => [`discard ${range}`]) },
  { weight: 1, arbitrary: anyRange.map((range) => [`read ${range}`]) },
  { weight: 1, arbitrary: fc.nat({ max: 3 }).map((cluster) => [`write -c -P 7 ${cluster * 65_536} 64k`]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(anyRange, anyRange)
      .map(([one, other]) => [`aio_write -P 1 ${one}`, `aio_read ${other}`, 'aio_flush']),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ['flush'],
      ['truncate 300k'],
      ['truncate 256k'],
      ['reopen -c writeback'],
      ['reopen -c writethrough'],
      ['map'],
      ['length'],
      ['write -f -P 9 0 512'],
      ['writev -P 8 1k 512 512'],
      ['close', 'length'],
    ),
  },
);

const anyScript = fc.array(anyCommands, { minLength: 1, maxLength: 16 }).map((groups) => groups.flat());

it('nothing is reported', { timeout: 300_000 }, async () => {
  writeFileSync(at('base.raw'), Buffer.alloc(200 << 10, 0xbb));
  await fc.assert(
    fc.asyncProperty(anyGeometry, anyScript, async ({ format, hasBacking, writethrough, ...geometry }, lines) => {
      const backing = hasBacking ? { backing: { filename: 'base.raw', format: 'raw' } } : {};
      // Subclusters want clusters of 16 KiB, and version 3.
      const extendedL2 = geometry.extendedL2 && geometry.version === 3 && geometry.clusterBits >= 14;
      const isCounted = geometry.version === 3 ? geometry.refcountOrder : 4;
      const image = makeImage({
        lengthBytes: DISK_BYTES,
        ...geometry,
        extendedL2,
        refcountOrder: isCounted,
        ...backing,
      });
      writeFileSync(at('disk'), format === 'raw' ? Buffer.alloc(DISK_BYTES, 0xaa) : image);
      const words = `driver=${format},file.driver=blkdebug,file.image.driver=file,file.image.filename=${at('disk')}`;
      const world = worldOf(scenarioOf(words, lines, writethrough));
      const { verdict, finished } = await judge(world, await readBaseline(world));
      world.close();
      const { crash, hazards } = finished;
      expect({ verdict: verdict.name, detail: verdict.detail, crash, hazards }).toEqual({
        verdict: 'sound',
        detail: '',
        crash: null,
        hazards: [],
      });
    }),
    { numRuns: Number(process.env.CASES ?? 200), seed: Number(process.env.SEED ?? 1) },
  );
});
