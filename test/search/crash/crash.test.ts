/** The search for what a loss of power breaks. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readBaseline } from '../../../src/search/aftermath.ts';
import { crash } from '../../../src/search/crash/crash.ts';
import type { Outcome, Units } from '../../../src/search/strategy.ts';
import { type ImageSettings, makeImage } from '../../drivers/qcow2/make-image.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import { scenarioOf, worldOf } from '../search-world.ts';

const folder = useFolder();

/** A scenario that comes with the program. */
function linesOf(scenario: string): string[] {
  const file = path.join(import.meta.dirname, '../../../scripts/scenarios', scenario);
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

interface Setting {
  readonly image?: ImageSettings;
  readonly own?: Readonly<Record<string, string>>;
  readonly writethrough?: boolean;
}

/** Runs the search: its units, and their outcomes. */
async function search(
  lines: readonly string[],
  { image = {}, own = {}, writethrough = false }: Setting = {},
): Promise<{ units: Units; outcomes: Outcome[]; close: () => void }> {
  const file = path.join(folder, 'disk.qcow2');
  writeFileSync(file, makeImage({ lengthBytes: 1 << 20, ...image }));
  const words = `driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=${file}`;
  const world = worldOf(scenarioOf(words, lines, writethrough));
  const settings = { seed: 1, casesMax: Number.MAX_SAFE_INTEGER, own: new Map(Object.entries(own)) };
  const units = await crash.prepare(world, await readBaseline(world), settings);
  const outcomes: Outcome[] = [];
  for (let unit = 0; unit < units.count; unit++) outcomes.push(...(await units.run(unit, () => false)));
  return { units, outcomes, close: () => world.close() };
}

/** The outcomes that are worse than a leak, which every loss of power may bring. */
function findsOf(outcomes: readonly Outcome[]): Outcome[] {
  return outcomes.filter(({ verdict }) => verdict !== 'sound' && verdict !== 'leak');
}

describe('a loss of power', () => {
  it('leaves sound what was written to new clusters, flushed or not', async () => {
    const lines = ['write -P 1 0 64k', 'flush', 'write -P 2 4k 4k', 'write -P 3 300k 100k', 'flush', 'write -z 0 8k'];
    const { outcomes, close } = await search(lines);
    expect(outcomes.length).toBeGreaterThan(20);
    expect(findsOf(outcomes)).toEqual([]);
    close();
    const through = await search(lines.slice(0, 3), { writethrough: true, own: { torn: '' } });
    expect(through.outcomes.length).toBeGreaterThan(20);
    expect(findsOf(through.outcomes)).toEqual([]);
    through.close();
  });

  it('shows data of another sector where a cluster was used again before its discard was on disk', async () => {
    const { units, outcomes, close } = await search(linesOf('reused-cluster'));
    const [find] = findsOf(outcomes);
    expect(find).toMatchObject({
      verdict: 'wrong data',
      detail: 'in the end the sector at 0 holds 0x02; allowed: 0x01, 0x00',
    });
    const { outcome } = await units.again(find?.recipe ?? null);
    expect(outcome).toMatchObject({ verdict: 'wrong data', detail: find?.detail, signature: find?.signature });
    close();
  });

  it('shows zeroes where a write had zeroed what it was about to overwrite, as QEMU 7.2 does before a zero cluster', async () => {
    const { outcomes, close } = await search(linesOf('zeroed-neighbour'));
    expect(findsOf(outcomes).map(({ verdict, detail }) => [verdict, detail])).toContainEqual([
      'lost',
      'in the end the sector at 102400 holds 0x00; allowed: 0x06, 0x02',
    ]);
    close();
  });

  it('loses a compressed write although the image is in write-through mode, as QEMU 7.2 does', async () => {
    const { outcomes, close } = await search(linesOf('compressed-write'), { writethrough: true });
    expect(findsOf(outcomes).map(({ verdict }) => verdict)).toContain('lost');
    close();
  });

  it('loses what was acknowledged if flushes are dropped', async () => {
    const lines = ['write -P 1 0 4k', 'flush', 'rule add drop event=none iotype=flush', 'write -P 2 0 4k', 'flush'];
    const { outcomes, close } = await search(lines);
    expect(findsOf(outcomes).map(({ verdict }) => verdict)).toContain('lost');
    close();
  });

  it('is repaired when a dirty image is opened again', async () => {
    const lines = ['write -P 1 0 64k', 'flush', 'write -P 2 64k 64k', 'write -P 3 512k 4k', 'flush'];
    const { outcomes, close } = await search(lines, { image: { lazyRefcounts: true } });
    expect(findsOf(outcomes).filter(({ verdict }) => verdict === 'corrupt')).toEqual([]);
    close();
  });
});

it('a log that was exported is judged as the script is', async () => {
  const log = path.join(folder, 'writes.log');
  const lines = ['write -P 1 0 64k', 'flush', 'write -c -P 2 64k 64k', 'write -z 4k 4k', 'flush'];
  const exported = await search(lines, { own: { 'export-log': log } });
  const judged = await search([], { own: { log } });
  expect(judged.units.count).toBe(exported.units.count);
  expect(judged.outcomes.map(({ verdict }) => verdict)).toEqual(exported.outcomes.map(({ verdict }) => verdict));
  expect(judged.outcomes[3]?.title).toMatch(/^power lost before the flush of entry \d+ of the log: /);
  exported.close();
  judged.close();
});

it('an option that is no number is refused', async () => {
  await expect(search(['write 0 512'], { own: { samples: 'all' } })).rejects.toThrow(
    "--samples takes a whole number from 0 to 1000000, not 'all'",
  );
});
