/** The reduced search of orders reaches what all orders reach, and finds faults of orders without a hint. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readBaseline } from '../../src/search/aftermath.ts';
import { explore } from '../../src/search/explore/explore.ts';
import { runOrder } from '../../src/search/explore/explorer.ts';
import { OrderWalk } from '../../src/search/explore/orders.ts';
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

interface Explored {
  readonly runs: number;
  /** Verdict, and all that the script printed, of each order. */
  readonly outcomes: readonly string[];
}

async function exploreAll(lines: readonly string[], isNaive: boolean): Promise<Explored> {
  const world = worldWith(lines);
  const baseline = await readBaseline(world);
  const walk = new OrderWalk({ isNaive, preemptionsMax: null, prefix: [] });
  const outcomes = new Set<string>();
  let runs = 0;
  while (walk.begin()) {
    runs += 1;
    const { judged, steps } = await runOrder(world, baseline, walk);
    walk.end(steps);
    if (walk.isRedundant) continue;
    const said = judged.finished.transcript.stdout.replaceAll(/\d+\.\d+ sec.*|\(.*\)/g, '');
    outcomes.add([judged.verdict.name, judged.verdict.mark, ...said.split('\n').sort()].join('\n'));
  }
  world.close();
  return { runs, outcomes: [...outcomes].sort() };
}

/** Lines before the pair, by what they make of the disk. */
const states: Readonly<Record<string, readonly string[]>> = {
  'an empty image': [],
  'a cluster in place': ['write -P 9 0 64k'],
};

/** Whose orders are so few that all of them can be tried here. */
const pairs: readonly (readonly [string, string])[] = [
  ['aio_write -P 1 0 4k', 'aio_read 0 4k'],
  ['aio_write -P 1 0 4k', 'aio_write -z 0 64k'],
  ['aio_read 0 4k', 'write -z -u 0 64k'],
  ['aio_write -P 1 4k 512', 'write -P 2 4k 512'],
];

async function outcomesOf(lines: readonly string[], own: Record<string, string> = {}): Promise<Outcome[]> {
  const world = worldWith(lines);
  const units = await explore.prepare(world, await readBaseline(world), { seed: 1, own: new Map(Object.entries(own)) });
  const outcomes: Outcome[] = [];
  for (let unit = 0; unit < units.count; unit++) outcomes.push(...(await units.run(unit, () => false)));
  world.close();
  return outcomes;
}

const discarded = ['write -P 1 0 64k', 'aio_write -P 2 0 4k', 'discard 0 64k', 'write -P 3 64k 64k', 'aio_flush'];

describe('the reduced search', () => {
  for (const [state, before] of Object.entries(states)) {
    it.each(pairs)(
      `of %s and %s over ${state} reaches the ends of all orders`,
      { timeout: 120_000 },
      async (...pair) => {
        const lines = [...before, ...pair, 'aio_flush', 'read -v 0 64'];
        const all = await exploreAll(lines, true);
        const reduced = await exploreAll(lines, false);
        expect(reduced.outcomes).toEqual(all.outcomes);
        expect(reduced.runs).toBeLessThanOrEqual(all.runs);
      },
    );
  }

  it('leaves out what cannot make a difference', async () => {
    const lines = ['write -P 9 0 128k', 'aio_write -P 1 0 4k', 'aio_write -P 2 64k 4k', 'aio_flush'];
    expect((await exploreAll(lines, false)).runs).toBeLessThan(8);
  });
});

describe('explore', () => {
  it('finds the write that goes to a cluster which a discard has freed', { timeout: 60_000 }, async () => {
    const finds = (await outcomesOf(discarded)).filter(({ verdict }) => verdict !== 'sound');
    expect(new Set(finds.map(({ signature }) => signature))).toEqual(
      new Set(['the disk holds wrong data in the end; aio_write; discard; write']),
    );
    expect(finds[0]?.title).toContain('line 3 (discard 0 64k)');
  });

  it('runs a case again by its recipe', { timeout: 60_000 }, async () => {
    const found = (await outcomesOf(discarded)).find(({ verdict }) => verdict === 'wrong data');
    const world = worldWith(discarded);
    const units = await explore.prepare(world, await readBaseline(world), { seed: 1, own: new Map() });
    const { outcome } = await units.again(found?.recipe ?? null);
    expect(outcome).toEqual(found);
    world.close();
  });

  it('says an order in commands of qemu-io', { timeout: 60_000 }, async () => {
    const found = (await outcomesOf(discarded)).find(({ verdict }) => verdict === 'wrong data');
    const world = worldWith(discarded);
    const units = await explore.prepare(world, await readBaseline(world), { seed: 1, own: new Map() });
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
    expect(drawn.length).toBeGreaterThanOrEqual(64);
    expect(drawn).toEqual(await outcomesOf(discarded, { orders: '1', walks: '64' }));
  });
});
