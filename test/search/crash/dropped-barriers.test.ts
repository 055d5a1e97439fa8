/** Barriers taken out of qcow2, one at a time, are found by the same scenarios, which find nothing with them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { readBaseline } from '../../../src/search/aftermath.ts';
import { crash } from '../../../src/search/crash/crash.ts';
import { type ImageSettings, makeImage } from '../../drivers/qcow2/make-image.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import { droppedBarriers, type Plant, plantedWorld } from '../planted-faults.ts';
import { scenarioOf } from '../search-world.ts';

const folder = useFolder();

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

/** The verdicts on all states of all scenarios that are worse than a leak; with a fault of the driver, or none. */
async function verdicts(plant: Plant | null): Promise<Set<string>> {
  const found = new Set<string>();
  for (const { image, lines } of scenarios) {
    const file = path.join(folder, 'disk.qcow2');
    writeFileSync(file, makeImage({ lengthBytes: 1 << 20, ...image }));
    const world = plantedWorld(scenarioOf(`driver=qcow2,file.driver=file,file.filename=${file}`, lines, false), plant);
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
  expect(await verdicts(null)).toEqual(new Set());
});

it.each(Object.entries(droppedBarriers))(
  'a loss of power shows that the barrier %s is left out',
  async (_, { plant, verdict }) => {
    expect(await verdicts(plant)).toContain(verdict);
  },
);
