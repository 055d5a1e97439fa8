/**
 * Faults planted in qcow2, one at a time, are found by searches of scenarios that are the same for all of them, and in
 * which nothing is found without a fault.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readBaseline } from '../../src/search/aftermath.ts';
import { explore } from '../../src/search/explore/explore.ts';
import type { Outcome, Strategy } from '../../src/search/strategy.ts';
import { sweep } from '../../src/search/sweep.ts';
import { type ImageSettings, makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { brokenInvariant, orderingFaults, type Plant, plantedWorld, swallowedErrors } from './planted-faults.ts';
import { runOnFiles, scenarioOf } from './search-world.ts';

const folder = useFolder();

interface Field {
  readonly image: ImageSettings;
  /** Options of blkdebug. */
  readonly options?: string;
  /** Lines that are run on the image before the search. */
  readonly before: readonly string[];
  readonly lines: readonly string[];
}

const orderFields: readonly Field[] = [
  { image: {}, before: [], lines: ['aio_write -P 1 0 4k', 'aio_write -P 2 8k 4k', 'aio_flush'] },
  {
    image: {},
    before: ['write -P 9 0 64k'],
    lines: ['aio_write -P 1 64k 4k', 'aio_write -P 2 192k 4k', 'aio_flush'],
  },
  // What was there shows in a cluster that is not written yet.
  {
    image: {},
    before: ['write -P 9 0 64k', 'discard 0 64k'],
    lines: ['aio_write -P 1 0 4k', 'aio_read 0 4k', 'aio_flush'],
  },
  {
    image: {},
    options: ',file.align=4096',
    before: ['write -P 9 0 64k'],
    lines: ['aio_write -P 1 0 512', 'aio_write -P 2 512 512', 'aio_flush'],
  },
  {
    image: { clusterBits: 9, lengthBytes: 32 << 10 },
    before: [],
    lines: ['aio_write -P 1 4k 512', 'truncate 3M'],
  },
  // A refcount block counts 64 clusters.
  {
    image: { clusterBits: 9, refcountOrder: 6, lengthBytes: 64 << 10 },
    before: ['write -P 9 0 30208'],
    lines: ['aio_write -P 1 30208 512', 'aio_write -P 2 30720 512', 'aio_flush'],
  },
];

const errorFields: readonly Field[] = [
  { image: {}, before: [], lines: ['write -P 1 0 64k', 'write -P 2 64k 4k', 'flush'] },
  {
    image: {},
    before: ['write -P 9 0 128k'],
    lines: ['read 0 64k', 'write -P 3 4k 4k', 'write -z -u 64k 64k', 'truncate 2M', 'flush'],
  },
];

/** Runs a search over each field until `isEnough`, or to its end. */
async function outcomesOf(
  strategy: Strategy,
  fields: readonly Field[],
  plant: Plant | null,
  own: Record<string, string>,
  isEnough: (outcome: Outcome) => boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { image, options = '', before, lines } of fields) {
    const file = path.join(folder, 'disk.qcow2');
    writeFileSync(file, makeImage({ lengthBytes: 1 << 20, ...image }));
    const below = 'file.driver=blkdebug,file.image.driver=file';
    const words = `driver=qcow2,${below},file.image.filename=${file}${options}`;
    if (before.length > 0) await runOnFiles(scenarioOf(`${words},pass-discard-request=off`, before));
    const world = plantedWorld(scenarioOf(words, lines, false), plant);
    const units = await strategy.prepare(world, await readBaseline(world), {
      seed: 1,
      casesMax: Number.MAX_SAFE_INTEGER,
      own: new Map(Object.entries(own)),
    });
    for (let unit = 0; unit < units.count && !outcomes.some(isEnough); unit++) {
      outcomes.push(...(await units.run(unit, () => false)));
    }
    world.close();
  }
  return outcomes;
}

const bounds = { orders: '600', walks: '64' };
const isBad = ({ verdict }: Outcome): boolean => verdict !== 'sound' && verdict !== 'leak';

describe('faults of order', () => {
  it('are not there where none is planted', { timeout: 120_000 }, async () => {
    const outcomes = await outcomesOf(explore, orderFields, null, bounds, () => false);
    expect(outcomes.filter(isBad)).toEqual([]);
  });

  it.each(Object.entries(orderingFaults))('%s', { timeout: 120_000 }, async (_name, plant) => {
    const outcomes = await outcomesOf(explore, orderFields, plant, bounds, isBad);
    expect(outcomes.filter(isBad)).not.toEqual([]);
  });

  it('also one by which an invariant breaks in a request under way, which ends its case alone', async () => {
    const outcomes = await outcomesOf(explore, orderFields.slice(0, 2), brokenInvariant, bounds, () => false);
    const crashed = outcomes.filter(({ verdict }) => verdict === 'crashed');
    expect(new Set(crashed.map(({ detail }) => detail))).toEqual(new Set(['assertion failed: no data is written']));
    expect(crashed.length).toBeGreaterThan(1);
  });
});

describe('errors that are swallowed', () => {
  it('are not there where none is planted', { timeout: 120_000 }, async () => {
    const outcomes = await outcomesOf(sweep, errorFields, null, {}, () => false);
    expect(outcomes.filter(isBad)).toEqual([]);
  });

  it.each(Object.entries(swallowedErrors))('%s', { timeout: 120_000 }, async (_name, plant) => {
    const outcomes = await outcomesOf(sweep, errorFields, plant, {}, isBad);
    expect(outcomes.filter(isBad)).not.toEqual([]);
  });
});
