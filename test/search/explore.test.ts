/** The search of orders finds faults without a hint, and says them in words of qemu-io. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readBaseline } from '../../src/search/aftermath.ts';
import { explore } from '../../src/search/explore/explore.ts';
import type { Outcome } from '../../src/search/strategy.ts';
import type { World } from '../../src/search/world.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { scenarioOf, worldOf } from './search-world.ts';

const folder = useFolder();
const image = path.join(folder, 'disk.qcow2');
writeFileSync(image, makeImage({ lengthBytes: 1 << 20 }));

function worldWith(lines: readonly string[]): World {
  const words = `driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=${image}`;
  return worldOf(scenarioOf(words, lines, false));
}

async function outcomesOf(lines: readonly string[], own: Record<string, string> = {}): Promise<Outcome[]> {
  const world = worldWith(lines);
  const units = await explore.prepare(world, await readBaseline(world), {
    seed: 1,
    casesMax: Number.MAX_SAFE_INTEGER,
    own: new Map(Object.entries(own)),
  });
  const outcomes: Outcome[] = [];
  for (let unit = 0; unit < units.count; unit++) outcomes.push(...(await units.run(unit, () => false)));
  world.close();
  return outcomes;
}

const discarded = ['write -P 1 0 64k', 'aio_write -P 2 0 4k', 'discard 0 64k', 'write -P 3 64k 64k', 'aio_flush'];

describe('explore', () => {
  it('finds the write that goes to a cluster which a discard has freed', { timeout: 60_000 }, async () => {
    const finds = (await outcomesOf(discarded)).filter(({ verdict }) => verdict !== 'sound');
    expect(new Set(finds.map(({ signature }) => signature))).toEqual(
      new Set(['the disk holds wrong data in the end; aio_write; discard; write']),
    );
    expect(finds[0]?.title).toContain('line 3 (discard 0 64k)');
  });

  it('ends a unit that has more cases than are wanted', async () => {
    const world = worldWith(discarded);
    const options = { seed: 1, casesMax: 2, own: new Map([['naive', '']]) };
    const units = await explore.prepare(world, await readBaseline(world), options);
    const counts: number[] = [];
    for (let unit = 0; unit < 3; unit++) counts.push((await units.run(unit, () => false)).length);
    expect(Math.max(...counts)).toBe(3);
    world.close();
  });

  it('runs a case again by its recipe', { timeout: 60_000 }, async () => {
    const found = (await outcomesOf(discarded)).find(({ verdict }) => verdict === 'wrong data');
    const world = worldWith(discarded);
    const units = await explore.prepare(world, await readBaseline(world), {
      seed: 1,
      casesMax: Number.MAX_SAFE_INTEGER,
      own: new Map(),
    });
    const { outcome } = await units.again(found?.recipe ?? null);
    expect(outcome).toEqual(found);
    world.close();
  });

  it('says an order in commands of qemu-io', { timeout: 60_000 }, async () => {
    const found = (await outcomesOf(discarded)).find(({ verdict }) => verdict === 'wrong data');
    const world = worldWith(discarded);
    const units = await explore.prepare(world, await readBaseline(world), {
      seed: 1,
      casesMax: Number.MAX_SAFE_INTEGER,
      own: new Map(),
    });
    expect(await units.script(found?.recipe ?? null)).toEqual({
      lines: [
        'write -P 1 0 64k',
        'break pwritev b1',
        'aio_write -P 2 0 4k',
        'wait_break b1',
        'discard 0 64k',
        'write -P 3 64k 64k',
        'resume b1',
        'sleep 100',
        'aio_flush',
      ],
      rules: '',
    });
    world.close();
  });

  it('has one order for requests that follow each other', async () => {
    const outcomes = await outcomesOf(['write -P 1 0 64k', 'discard 0 64k', 'read 0 4k']);
    expect(outcomes.map(({ verdict, title }) => [verdict, title])).toEqual([['sound', 'the only order']]);
  });

  it('tries fewer with fewer preemptions, and some by chance beyond its budget', { timeout: 60_000 }, async () => {
    const all = await outcomesOf(discarded, { preemptions: '1' });
    const fewer = await outcomesOf(discarded, { preemptions: '0' });
    expect(fewer.length).toBeLessThan(all.length);
    const drawn = await outcomesOf(discarded, { orders: '1', walks: '64' });
    // A unit whose orders are those of another one draws none.
    expect(drawn.length).toBeGreaterThanOrEqual(32);
    expect(drawn).toEqual(await outcomesOf(discarded, { orders: '1', walks: '64' }));
  });
});
