/** How a hazard, and the request that a rule fails, are shown: by commands, in records, and in what searches find. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { TraceRecord } from '../../src/block/events/trace.ts';
import { preadv } from '../../src/block/request/read.ts';
import { pwritev } from '../../src/block/request/write.ts';
import { readBaseline } from '../../src/search/aftermath.ts';
import { explore } from '../../src/search/explore/explore.ts';
import { findTable } from '../../src/search/reporters/find-table.ts';
import type { Outcome } from '../../src/search/strategy.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { HostImages } from '../helpers/host-images.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { expectGolden, overDebug, seeSession } from '../see/see-session.ts';
import { scenarioOf, worldOf } from '../search/search-world.ts';

const folder = useFolder();
const inFolder = (name: string): string => path.join(folder, name);

const race = [
  'write -q -P 1 0 64k',
  'break pwritev A',
  'aio_write -q -P 2 0 4k',
  'wait_break A',
  'discard -q 0 64k',
  'write -q -P 3 64k 4k',
];

it('the commands and the records tell of a hazard', async () => {
  writeFileSync(inFolder('disk.qcow2'), makeImage());
  const see = await seeSession(overDebug(inFolder('disk.qcow2')));
  const records: TraceRecord[] = [];
  see.session.context.trace.subscribe((record) => records.push(record));
  const text = await see.talk(...race, 'events hazard', 'events -n 2 -j hazard', 'resume A', 'aio_flush');
  expectGolden('hazards', text);
  expect(records.filter(({ kind }) => kind === 'hazard')).toMatchObject([
    { hazard: 'freed-in-flight', fileOffset: 327_680, bytes: 4096, guestOffset: 0, node: 'debug' },
    { hazard: 'written-twice', fileOffset: 327_680, bytes: 4096, guestOffset: 0, node: 'debug' },
  ]);
  const [first] = records.filter(({ kind }) => kind === 'hazard');
  const begins = records.filter((record) => record.kind === 'request-begin');
  const other = begins.find(({ request }) => first?.kind === 'hazard' && request === first.other);
  expect(other).toMatchObject({ operation: 'write', guestOffset: 0, bytes: 4096 });
  await see.close();
});

it('one line says which write a rule has failed, of whose it is a part, and where', async () => {
  writeFileSync(inFolder('disk.qcow2'), makeImage());
  const see = await seeSession(overDebug(inFolder('disk.qcow2')));
  const lines = [
    'write -q 64k 64k',
    'write -q 0 64k',
    'write -q 128k 64k',
    'rule add inject-error event=write_aio errno=ENOSPC iotype=write once=on',
    'write 0 192k',
    'events ENOSPC',
  ];
  // Its first cluster is not where the second one is: the write has several parts.
  expectGolden('whose-error', await see.talk(...lines));
  await see.close();
});

it('two askers that write the same place of a raw image are a hazard, one is not', async () => {
  const host = new HostImages();
  writeFileSync(host.path('disk.raw'), Buffer.alloc(1 << 20));
  const image = await host.open({
    driver: 'raw',
    'file.driver': 'blkdebug',
    'file.image.driver': 'file',
    'file.image.filename': host.path('disk.raw'),
  });
  const { loop, trace } = image.top;
  const write = (origin: string | null, offset: number): Promise<unknown> =>
    loop.spawn(
      { operation: 'write', offset, bytes: 4096, origin },
      () => pwritev(image.root, offset, Buffer.alloc(4096, 7), 0),
      () => {},
    );
  const debug = image.top.file?.node.driver.debugPort?.(image.top.file.node);
  debug?.setBreakpoint('pwritev', 'A');
  await write('client 1', 0);
  await write(null, 8192);
  await loop.spawn(
    { operation: 'read' },
    () => preadv(image.root, 0, Buffer.alloc(4096), 0),
    () => {},
  );
  expect(trace.history.firstHazards).toEqual([]);
  await write('client 1', 0);
  expect(trace.history.firstHazards).toEqual([]);
  await write(null, 0);
  expect(trace.history.firstHazards).toHaveLength(1);
  expect(trace.history.firstHazards[0]).toMatch(/^w\d+ \(write 4k@0\) and w\d+ \(write 4k@0\) both write file 0$/);
  await debug?.resume('A');
  while (await loop.poll(false));
  await host.remove();
});

it('a search prints the hazard below the find that came of it', { timeout: 60_000 }, async () => {
  writeFileSync(inFolder('disk.qcow2'), makeImage());
  const words = `driver=qcow2,discard=unmap,file.driver=blkdebug,file.image.driver=file,file.image.filename=${inFolder('disk.qcow2')}`;
  const script = ['write -P 1 0 512', 'aio_write -P 2 0 512', 'discard 0 64k', 'write -P 3 64k 512', 'aio_flush'];
  const world = worldOf(scenarioOf(words, script));
  const units = await explore.prepare(world, await readBaseline(world), { seed: 1, casesMax: 1000, own: new Map() });
  const outcomes: Outcome[] = [];
  for (let unit = 0; unit < units.count; unit += 1) outcomes.push(...(await units.run(unit, () => false)));
  world.close();
  const find = outcomes.find(({ verdict }) => verdict === 'wrong data');
  expect(find?.hazard).toMatch(/^d\d+ \(discard 64k@0\) frees file 320k under w\d+ \(write 512@0\)$/);
  // In an order in which they do not meet there is none.
  expect(outcomes.some(({ hazard }) => hazard === '')).toBe(true);
  let table = '';
  const reporter = findTable((text) => {
    table += text;
  });
  for (const outcome of outcomes) reporter.result?.({ ...outcome, unit: 0, part: 0, parts: 1 }, '', false);
  const first = { ...(find as NonNullable<typeof find>), unit: 0, part: 0, parts: 1 };
  const { signature, verdict } = first;
  reporter.end?.({ cases: 1, finds: [{ signature, verdict, first, count: 1 }], unitsDone: 1, unitCount: 1 }, true);
  expect(table).toContain(`    hazard: ${first.hazard}\n`);
  expect(table).toMatch(/, \d+ with hazards\n$/);
});
