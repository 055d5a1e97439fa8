/** The world of a case: nothing of it reaches the host, and what happens in it is what happens outside. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Case, openAsIs } from '../../src/search/case.ts';
import { Chance } from '../../src/search/chance.ts';
import type { Scheduler, Stop } from '../../src/search/scheduler.ts';
import { REFUSED_COMMAND, type Scenario, type World } from '../../src/search/world.ts';
import type { Disks } from '../../src/sandbox/disks/disks.ts';
import { refusedLine } from '../../src/sandbox/sandbox-table.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { normalise } from '../helpers/normalise.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { runOnFiles, scenarioOf, worldOf } from './search-world.ts';

const folder = useEmptyFolder();
const at = (name: string): string => path.join(folder, name);
const worlds: World[] = [];

afterEach(() => {
  for (const world of worlds.splice(0)) world.close();
});

function makeWorld(scenario: Scenario, memoryMaxBytes?: number): World {
  const world = worldOf(scenario, memoryMaxBytes);
  worlds.push(world);
  return world;
}

const blkdebugged = (format: string, name: string): string =>
  `driver=${format},file.driver=blkdebug,file.image.driver=file,file.image.filename=${at(name)}`;

/** The bytes of a disk of a case. */
function bytesOf({ all }: Disks, number = 0): Buffer {
  const content = all[number]?.content;
  const bytes = Buffer.alloc(content?.lengthBytes ?? 0);
  content?.read(0, bytes);
  return bytes;
}

const anyLine = fc.oneof(
  fc
    .record({
      command: fc.constantFrom('write', 'aio_write', 'write -z', 'write -z -u', 'aio_write -z', 'discard', 'read -v'),
      offset: fc.nat({ max: 40 }).map((sector) => sector * 512),
      bytes: fc.integer({ min: 1, max: 24 }).map((sectors) => sectors * 512),
      value: fc.nat({ max: 255 }),
    })
    .map(({ command, offset, bytes, value }) => {
      const isData = command === 'write' || command === 'aio_write';
      return `${command}${isData ? ` -P ${value}` : ''} ${offset} ${bytes}`;
    }),
  fc.constantFrom('aio_flush', 'flush', 'map', 'truncate 40k', 'truncate 100k', 'length', 'write 100 1000'),
);

describe('a case', () => {
  it('ends as the same script does on the files themselves, and leaves them alone', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('raw', 'qcow2'),
        fc.array(anyLine, { minLength: 1, maxLength: 12 }),
        async (format, lines) => {
          const name = `disk.${format}`;
          const before =
            format === 'raw' ? Buffer.alloc(70_000, 7) : makeImage({ lengthBytes: 1 << 16, clusterBits: 12 });
          writeFileSync(at(name), before);
          const scenario = scenarioOf(blkdebugged(format, name), lines);
          const world = makeWorld(scenario);
          const done = await new Case(world).run();
          expect(readFileSync(at(name)).equals(before)).toBe(true);
          const inside = bytesOf(done.disks);
          const said = normalise(done.transcript.stdout + done.transcript.stderr, folder);
          expect(normalise(await runOnFiles(scenario), folder)).toBe(said);
          expect(inside.equals(readFileSync(at(name)))).toBe(true);
          expect({ crash: done.crash, hung: done.hung }).toEqual({ crash: null, hung: [] });
          done.disks.release();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is the same each time, and holes are found where the host finds them', async () => {
    writeFileSync(at('disk.raw'), Buffer.alloc(1 << 16, 1));
    const lines = ['write -z -u 8k 12k', 'truncate 128k', 'write -P 2 96k 4k', 'map'];
    const scenario = scenarioOf(`driver=raw,file.driver=file,file.filename=${at('disk.raw')}`, lines);
    const world = makeWorld(scenario);
    const first = await new Case(world).run();
    first.disks.release();
    const second = await new Case(world).run();
    expect(second.transcript).toEqual(first.transcript);
    expect(normalise(await runOnFiles(scenario), folder)).toBe(normalise(first.transcript.stdout, folder));
  });

  it('has a clock that jumps', async () => {
    writeFileSync(at('disk.raw'), Buffer.alloc(4096));
    const done = await new Case(
      makeWorld(scenarioOf(blkdebugged('raw', 'disk.raw'), ['sleep 86400000', 'length'])),
    ).run();
    expect(done.transcript.stdout).toBe('4 KiB\n');
  });

  it('logs what changes its files, with the request and the line that did it, so that it can be done again', async () => {
    writeFileSync(at('disk.qcow2'), makeImage({ lengthBytes: 1 << 16 }));
    const lines = ['write -P 1 0 64k', 'write -z 0 64k', 'discard 0 64k', 'flush'];
    const done = await new Case(makeWorld(scenarioOf(blkdebugged('qcow2', 'disk.qcow2'), lines)), {
      keepsLog: true,
    }).run();
    const again = done.disks.pristine();
    for (const entry of done.disks.log) again.apply(entry);
    expect(bytesOf(again).equals(bytesOf(done.disks))).toBe(true);
    const data = done.disks.log.find(({ kind, bytes }) => kind === 'write' && bytes === 65_536);
    expect(data).toMatchObject({ disk: 0, command: 1, bytes: 65_536 });
    expect(data?.request).toBeGreaterThan(0);
    expect(done.disks.log.filter(({ kind }) => kind === 'flush').length).toBeGreaterThan(0);
  });

  it('can be read afterwards, without its rules', async () => {
    writeFileSync(at('disk.qcow2'), makeImage({ lengthBytes: 1 << 16 }));
    const image = `${blkdebugged('qcow2', 'disk.qcow2')},file.inject-error.0.event=read_aio`;
    const world = makeWorld(scenarioOf(image, ['write -P 5 0 512', 'read 0 512']));
    const done = await new Case(world).run();
    expect(done.transcript.stdout).toContain('read failed: Input/output error');
    const after = await openAsIs(world, done.disks);
    expect(await after.session.execute('read -P 5 0 512')).toBe(0);
    await after.session.close();
  });

  it('opens the backing file, too, and nodes that exclude each other as files do', async () => {
    writeFileSync(at('base.raw'), Buffer.alloc(1 << 16, 3));
    const backing = { filename: 'base.raw', format: 'raw' };
    writeFileSync(at('disk.qcow2'), makeImage({ lengthBytes: 1 << 16, backing }));
    const world = makeWorld(
      scenarioOf(blkdebugged('qcow2', 'disk.qcow2'), ['read -P 3 0 64k', 'close', `open ${at('base.raw')}`]),
    );
    const done = await new Case(world).run();
    expect(done.transcript.stdout).toContain('read 65536/65536');
    expect(done.disks.all.map(({ path: file }) => file)).toEqual([at('disk.qcow2'), at('base.raw')]);
    const under = (prefix: string): string =>
      `${prefix}driver=qcow2,${prefix}file.driver=file,${prefix}file.filename=${at('disk.qcow2')}`;
    const twice = scenarioOf(`${under('')},${under('backing.')},backing.backing=`, []);
    const refused = await new Case(makeWorld(twice)).run();
    expect(refused.wasOpened).toBe(false);
    expect(refused.transcript.stderr).toContain('Failed to get shared "write" lock');
  });

  it('tells of requests that make no end, and of more data than there is room for', async () => {
    writeFileSync(at('disk.raw'), Buffer.alloc(1 << 20));
    const scenario = scenarioOf(blkdebugged('raw', 'disk.raw'), ['write 0 1M', 'write 0 1M']);
    const endless = await new Case(makeWorld(scenario), { requestsMax: 1 }).run();
    expect(endless.crash?.message).toBe('a case makes more than 1 requests to files');
    const large = await new Case(makeWorld(scenario, 1 << 19)).run();
    expect(large.crash?.message).toBe('a case writes more than 0.5 MiB');
  });

  it('can fail a request to a file by its hook', async () => {
    writeFileSync(at('disk.raw'), Buffer.alloc(1 << 16));
    const { BlockError } = await import('../../src/block/error.ts');
    const world = makeWorld(
      scenarioOf(blkdebugged('raw', 'disk.raw'), ['write 0 512', 'aio_write 0 512', 'aio_flush']),
    );
    const done = await new Case(world, {
      request: ({ kind }) => {
        if (kind === 'write') throw new BlockError(28);
        return undefined;
      },
    }).run();
    expect(done.transcript.stdout).toContain('write failed: No space left on device');
    expect(done.transcript.stdout).toContain('aio_write failed: No space left on device');
    expect(done.journal.map(({ kind }) => kind)).toEqual(['line', 'failed', 'line', 'failed', 'line', 'closing']);
  });
});

describe('a scheduler', () => {
  /** Takes the stop that its rule names. */
  const always = (rule: (stops: readonly Stop[]) => number): Scheduler => ({
    choose: rule,
  });

  it('decides which of two requests is first', async () => {
    writeFileSync(at('disk.raw'), Buffer.alloc(4096));
    const lines = ['aio_write -P 1 0 512', 'aio_write -P 2 0 512', 'aio_flush'];
    const world = makeWorld(scenarioOf(blkdebugged('raw', 'disk.raw'), lines));
    const lastByte = async (scheduler: Scheduler): Promise<number | undefined> => {
      const done = await new Case(world, { scheduler }).run();
      expect(done.hung).toEqual([]);
      const byte = bytesOf(done.disks)[0];
      done.disks.release();
      return byte;
    };
    expect(await lastByte(always(() => 0))).toBe(2);
    expect(await lastByte(always((stops) => stops.length - 1))).toBe(1);
    const chance = new Chance(1);
    const seen = new Set<number | undefined>();
    for (let run = 0; run < 20; run++) seen.add(await lastByte(always((stops) => chance.below(stops.length))));
    expect(seen).toEqual(new Set([1, 2]));
  });
});

it('commands that act on more than the image are refused', async () => {
  writeFileSync(at('disk.raw'), Buffer.alloc(4096));
  const lines = [`rule save ${at('rules')}`, 'export start', `record start ${at('run.ndjson')}`, 'sigraise 9', 'abort'];
  const done = await new Case(makeWorld(scenarioOf(blkdebugged('raw', 'disk.raw'), lines))).run();
  expect(done.transcript.stderr.match(/acts on more than the image/g)?.length).toBe(lines.length);
  expect(() => statSync(at('rules'))).toThrow('ENOENT');
  expect(refusedLine(commandTable, ['length', ...lines], REFUSED_COMMAND)).toMatch(
    /^'rule save .* cannot be part of a search$/,
  );
  expect(refusedLine(commandTable, ['rule add inject-error event=none'], REFUSED_COMMAND)).toBeNull();
});
