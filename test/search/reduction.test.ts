/**
 * The reduced search of orders reaches what all orders reach: for 30 pairs of requests over 8 states of an image, with
 * and without a write cache, every order is tried, and the set of ends is that of the reduced search. An end is the
 * verdict, all that the script printed and the content of the disk.
 *
 * Of each pair and state the orders at events count, too, where there are few; otherwise requests take turns at their
 * requests to the file alone. `CASES=480 npm test -- test/search/reduction` takes all, and prints how many orders.
 */
import { createHash, type Hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readBaseline } from '../../src/search/aftermath.ts';
import type { CaseViewer } from '../../src/search/case.ts';
import { explore as exploreOrders } from '../../src/search/explore/explore.ts';
import { runOrder } from '../../src/search/explore/explorer.ts';
import { OrderWalk } from '../../src/search/explore/orders.ts';
import type { Judged } from '../../src/search/judge.ts';
import { eachPiece } from '../../src/search/model/guest-content.ts';
import type { Outcome } from '../../src/search/strategy.ts';
import type { World } from '../../src/search/world.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { runOnFiles, scenarioOf, worldOf } from './search-world.ts';

const cases = Number(process.env.CASES ?? 16);
/** Orders at events that are tried; with more, those at requests to the file are. */
const EVENT_ORDERS_MAX = Number(process.env.CASES === undefined ? 60 : 300);
const DISK_BYTES = 256 << 10;

const folder = useFolder();
const image = path.join(folder, 'disk.qcow2');
const base = path.join(folder, 'base.raw');

interface State {
  readonly name: string;
  /** Run on the image before the search. */
  readonly before: readonly string[];
  readonly isOverBase?: boolean;
}

const states: readonly State[] = [
  { name: 'nothing', before: [] },
  { name: 'data', before: ['write -P 9 0 128k'] },
  { name: 'zeroes with space', before: ['write -P 9 0 128k', 'write -z 0 128k'] },
  { name: 'zeroes without space', before: ['write -z -u 0 128k'] },
  { name: 'compressed data', before: ['write -c -P 9 0 64k', 'write -c -P 8 64k 64k'] },
  { name: 'data and nothing', before: ['write -P 9 0 128k', 'discard 0 64k'] },
  { name: 'data of a snapshot', before: ['write -P 9 0 128k', 'snapshot -c one'] },
  { name: 'data of a backing file', before: [], isOverBase: true },
];

const pairs: readonly (readonly [string, string])[] = [
  ['aio_write -P 1 0 64k', 'aio_write -P 2 0 64k'],
  ['aio_write -P 1 0 4k', 'aio_write -P 2 8k 4k'],
  ['aio_write -P 1 0 4k', 'aio_write -P 2 0 512'],
  ['aio_write -P 1 0 4k', 'aio_write -P 2 64k 4k'],
  ['aio_write -P 1 32k 64k', 'aio_write -P 2 64k 4k'],
  ['aio_write -P 1 0 4k', 'write -P 2 4k 4k'],
  ['aio_write -P 1 0 4k', 'write -f -P 2 0 4k'],
  ['aio_write -P 1 0 4k', 'aio_read 0 4k'],
  ['aio_write -P 1 0 4k', 'aio_read 0 64k'],
  ['aio_write -P 1 0 4k', 'aio_read 64k 4k'],
  ['aio_write -P 1 0 4k', 'aio_write -z 0 64k'],
  ['aio_write -P 1 0 4k', 'aio_write -z -u 0 64k'],
  ['aio_write -P 1 0 4k', 'aio_write -z 0 512'],
  ['aio_write -P 1 0 4k', 'write -z -u 0 128k'],
  ['aio_write -P 1 0 4k', 'discard 0 64k'],
  ['aio_write -P 1 0 4k', 'discard 64k 64k'],
  ['aio_write -P 1 0 4k', 'write -c -P 2 0 64k'],
  ['aio_write -P 1 0 4k', 'write -c -P 2 64k 64k'],
  ['aio_write -P 1 0 4k', 'flush'],
  ['aio_write -P 1 64k 4k', 'truncate 64k'],
  ['aio_write -P 1 0 4k', 'truncate 512k'],
  ['aio_read 0 4k', 'discard 0 64k'],
  ['aio_read 0 4k', 'write -z -u 0 64k'],
  ['aio_read 0 64k', 'write -P 2 4k 4k'],
  ['aio_read 64k 4k', 'truncate 64k'],
  ['aio_read 0 4k', 'aio_read 0 4k'],
  ['aio_write -z 0 64k', 'discard 0 64k'],
  ['aio_write -z -u 0 64k', 'write -P 2 4k 4k'],
  ['aio_write -z 0 64k', 'flush'],
  ['aio_write -z -u 64k 64k', 'truncate 64k'],
];

interface Explored {
  readonly runs: number;
  readonly seconds: number;
  readonly ends: readonly string[];
}

/** An end, from a case and the digest of its disk. */
function endOf({ finished, verdict }: Judged, content: Hash): string {
  const said = finished.transcript.stdout.replaceAll(/\d+\.\d+ sec.*|\(.*\)/g, '').split('\n');
  return [verdict.name, verdict.mark, ...said.sort(), content.digest('hex')].join('\n');
}

/** Puts the content of the disk, as far as it is known to be zero apart, into a digest at the end of a case. */
function digesting(content: Hash): CaseViewer {
  const add = (_offset: number, data: Buffer | null, bytes: number): boolean => {
    content.update(data ?? `${bytes} zeroes`);
    return true;
  };
  return { ending: async ({ backend }) => void (backend !== null && (await eachPiece(backend, add))) };
}

function worldWith(lines: readonly string[], hasEvents: boolean, writethrough: boolean): World {
  const file = hasEvents ? 'blkdebug,file.image.driver=file,file.image.filename' : 'file,file.filename';
  return worldOf(scenarioOf(`driver=qcow2,file.driver=${file}=${image}`, lines, writethrough));
}

function secondsSince(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1e6;
}

/** The ends of all orders; null if there are more than `ordersMax`. */
async function tryAll(
  lines: readonly string[],
  hasEvents: boolean,
  writethrough: boolean,
  ordersMax: number,
): Promise<Explored | null> {
  const world = worldWith(lines, hasEvents, writethrough);
  const baseline = await readBaseline(world);
  const walk = new OrderWalk({ isNaive: true, preemptionsMax: null, prefix: [] });
  const ends = new Set<string>();
  const begun = process.cpuUsage();
  let runs = 0;
  for (; walk.begin(); runs++) {
    if (runs === ordersMax) return null;
    const content = createHash('sha1');
    const { judged, steps } = await runOrder(world, baseline, walk, digesting(content));
    walk.end(steps);
    ends.add(endOf(judged, content));
  }
  world.close();
  return { runs, seconds: secondsSince(begun), ends: [...ends].sort() };
}

/** The ends that the search comes to. */
async function search(lines: readonly string[], hasEvents: boolean, writethrough: boolean): Promise<Explored> {
  const world = worldWith(lines, hasEvents, writethrough);
  const baseline = await readBaseline(world);
  const begun = process.cpuUsage();
  const options = { seed: 1, casesMax: Number.MAX_SAFE_INTEGER, own: new Map() };
  const units = await exploreOrders.prepare(world, baseline, options);
  const outcomes: Outcome[] = [];
  for (let unit = 0; unit < units.count; unit++) outcomes.push(...(await units.run(unit, () => false)));
  const seconds = secondsSince(begun);
  const ends = new Set<string>();
  for (const { recipe } of outcomes) {
    const content = createHash('sha1');
    ends.add(endOf((await units.again(recipe, digesting(content))).judged, content));
  }
  world.close();
  return { runs: outcomes.length, seconds, ends: [...ends].sort() };
}

const total = { pairs: 0, atEvents: 0, all: 0, allSeconds: 0, reduced: 0, reducedSeconds: 0 };

async function prepare({ before, isOverBase }: State): Promise<void> {
  writeFileSync(base, Buffer.alloc(DISK_BYTES, 0xbb));
  const backing = isOverBase === true ? { backing: { filename: base, format: 'raw' } } : {};
  writeFileSync(image, makeImage({ lengthBytes: DISK_BYTES, ...backing }));
  await runOnFiles(scenarioOf(`driver=qcow2,file.driver=file,file.filename=${image}`, before));
}

afterAll(() => {
  const { pairs: count, atEvents, all, allSeconds, reduced, reducedSeconds } = total;
  if (process.env.CASES === undefined) return;
  console.log(
    `${count} pairs (${atEvents} at events): ${all} orders in ${allSeconds.toFixed(1)} s, ${reduced} runs in ` +
      `${reducedSeconds.toFixed(1)} s reduced; ${(all / reduced).toFixed(1)} times fewer`,
  );
});

const all = [false, true].flatMap((writethrough) =>
  states.flatMap((state) =>
    pairs.map((pair) => {
      const name = `${pair.join(' | ')} over ${state.name}${writethrough ? ', without a cache' : ''}`;
      return { state, pair, writethrough, name };
    }),
  ),
);
// Spread over all states and pairs: 7 has no divisor in common with their number.
const chosen = Array.from({ length: Math.min(cases, all.length) }, (_, index) => all[(index * 7) % all.length]);

it.each(chosen)('$name', { timeout: 120_000 }, async (one) => {
  const { state, pair, writethrough } = one as (typeof all)[number];
  await prepare(state);
  const lines = [...pair, 'aio_flush'];
  const atEvents = await tryAll(lines, true, writethrough, EVENT_ORDERS_MAX);
  const hasEvents = atEvents !== null;
  const every = atEvents ?? ((await tryAll(lines, false, writethrough, Number.MAX_SAFE_INTEGER)) as Explored);
  const reduced = await search(lines, hasEvents, writethrough);
  total.pairs += 1;
  total.atEvents += hasEvents ? 1 : 0;
  total.all += every.runs;
  total.allSeconds += every.seconds;
  total.reduced += reduced.runs;
  total.reducedSeconds += reduced.seconds;
  expect(reduced.ends).toEqual(every.ends);
  expect(reduced.runs).toBeLessThanOrEqual(every.runs);
});

it('leaves out orders that cannot make a difference', async () => {
  await prepare({ name: 'data', before: ['write -P 9 0 128k'] });
  expect((await search(['aio_write -P 1 0 4k', 'aio_write -P 2 64k 4k', 'aio_flush'], true, false)).runs).toBeLessThan(
    30,
  );
});

it('leaves out nearly all orders of three writes that take clusters', { timeout: 120_000 }, async () => {
  await prepare({ name: 'nothing', before: [] });
  const lines = ['aio_write -P 1 0 4k', 'aio_write -P 2 8k 4k', 'aio_write -P 3 16k 4k', 'aio_flush'];
  expect((await search(lines, true, false)).runs).toBeLessThan(50);
});
