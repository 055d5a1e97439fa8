/** Barriers taken out of qcow2, one at a time, are found by the same scenarios, which find nothing with them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { TableCache } from '../../../src/drivers/qcow2/tables/table-cache.ts';
import { readBaseline } from '../../../src/search/aftermath.ts';
import { crash } from '../../../src/search/crash/crash.ts';
import { type ImageSettings, makeImage } from '../../drivers/qcow2/make-image.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import { scenarioOf, worldOf } from '../search-world.ts';

/** The function whose flushes are left out; empty for none. */
const planted = vi.hoisted(() => ({ caller: '' }));

vi.mock('../../../src/drivers/qcow2/tables/io.ts', async (original) => {
  const io = await original<typeof import('../../../src/drivers/qcow2/tables/io.ts')>();
  const isDropped = (): boolean => {
    const { caller } = planted;
    return caller !== '' && (new Error('where').stack ?? '').split('\n').some((line) => line.includes(` ${caller} `));
  };
  return {
    ...io,
    *writeFileSync(...write: Parameters<typeof io.writeFileSync>) {
      if (isDropped()) yield io.writeFile(...write);
      else yield* io.writeFileSync(...write);
    },
    flushFile: (image: Parameters<typeof io.flushFile>[0]) => (isDropped() ? undefined : io.flushFile(image)),
  };
});

const folder = useFolder();
afterEach(() => {
  planted.caller = '';
  vi.restoreAllMocks();
});

interface Scenario {
  readonly image: ImageSettings;
  readonly lines: readonly string[];
}

const base = path.join(folder, 'base.raw');
writeFileSync(base, Buffer.alloc(1 << 20, 9));
const overBase = { filename: base, format: 'raw' };

const scenarios: readonly Scenario[] = [
  { image: {}, lines: ['write -P 1 0 64k', 'flush', 'write -P 2 4k 4k', 'write -P 3 200k 8k', 'flush'] },
  {
    image: { clusterBits: 9, lengthBytes: 64 << 10 },
    lines: ['write -P 1 0 3k', 'flush', 'truncate 3M', 'write -P 2 2M 1k', 'flush'],
  },
  {
    image: { clusterBits: 12, lazyRefcounts: true, backing: overBase },
    lines: ['write -P 1 8k 4k', 'flush', 'write -P 2 100k 300', 'flush', 'write -P 3 400k 100'],
  },
];

/** The verdicts on all states of all scenarios that are worse than a leak. */
async function verdicts(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const { image, lines } of scenarios) {
    const file = path.join(folder, 'disk.qcow2');
    writeFileSync(file, makeImage({ lengthBytes: 1 << 20, ...image }));
    const world = worldOf(scenarioOf(`driver=qcow2,file.driver=file,file.filename=${file}`, lines, false));
    const units = await crash.prepare(world, await readBaseline(world), {
      seed: 1,
      casesMax: Number.MAX_SAFE_INTEGER,
      own: new Map([['samples', '100']]),
    });
    for (let unit = 0; unit < units.count; unit++) {
      for (const { verdict } of await units.run(unit, () => false)) {
        if (verdict !== 'sound' && verdict !== 'leak') found.add(verdict);
      }
    }
    world.close();
  }
  return found;
}

it('with all barriers there is nothing to find', async () => {
  expect(await verdicts()).toEqual(new Set());
});

it('entries that are written before the refcounts they stand on corrupt the image', async () => {
  vi.spyOn(TableCache.prototype, 'dependOn').mockReturnValue(undefined);
  expect(await verdicts()).toContain('corrupt');
});

it('entries that are written before the data that was copied for them show what was never there', async () => {
  vi.spyOn(TableCache.prototype, 'dependOnFlush').mockReturnValue(undefined);
  expect(await verdicts()).toContain('wrong data');
});

it.each([
  ['growL1', 'corrupt'],
  ['markDirty', 'corrupt'],
  ['closeImage', 'corrupt'],
])('without the flushes of %s the image is %s', async (caller, verdict) => {
  planted.caller = caller;
  expect(await verdicts()).toContain(verdict);
});
