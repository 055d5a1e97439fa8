/** Each verdict is given for what it names, and a sound case has none. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../src/block/error.ts';
import { Event } from '../../src/block/events/events.ts';
import { readBaseline } from '../../src/search/aftermath.ts';
import type { Case, CaseHooks } from '../../src/search/case.ts';
import { judge } from '../../src/search/judge.ts';
import type { Outcome } from '../../src/search/strategy.ts';
import { sweep } from '../../src/search/sweep.ts';
import type { Verdict } from '../../src/search/verdict.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { runOnFiles, scenarioOf, worldOf } from './search-world.ts';

const folder = useFolder();
const image = path.join(folder, 'disk.qcow2');
writeFileSync(image, makeImage({ lengthBytes: 1 << 20 }));

async function verdictOn(
  lines: readonly string[],
  hook?: (running: () => Case) => CaseHooks,
  writethrough = true,
): Promise<Verdict> {
  const words = `driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=${image}`;
  const world = worldOf(scenarioOf(words, lines, writethrough));
  const { verdict } = await judge(world, await readBaseline(world), hook);
  world.close();
  return verdict;
}

/** Fails the first request of a kind with EIO. */
function failing(kind: string, event = 'injected'): (running: () => Case) => CaseHooks {
  let hasFailed = false;
  return (running) => ({
    request(request) {
      if (request.kind !== kind || hasFailed || running().command === 0) return undefined;
      hasFailed = true;
      running().note({ kind: 'injected', text: event, isHint: kind === 'discard' });
      throw new BlockError(5);
    },
  });
}

describe('a verdict', () => {
  it('is sound for what is', async () => {
    const lines = [
      'write -P 1 0 64k',
      'aio_write -P 2 4k 100',
      'aio_flush',
      'write -z 0 512',
      'discard 64k 64k',
      'read 0 1M',
    ];
    expect(await verdictOn(lines)).toMatchObject({ name: 'sound' });
    expect(await verdictOn(lines, undefined, false)).toMatchObject({ name: 'sound' });
    expect(await verdictOn(['write -P 1 0 64k'], failing('write'))).toMatchObject({ name: 'sound' });
  });

  it('is wrong data for a read that returns what was never written', async () => {
    const lines = ['write -P 1 0 64k', 'rule add corrupt event=read_aio how=noise', 'read 0 512'];
    expect(await verdictOn(lines)).toMatchObject({ name: 'wrong data', mark: 'a read returns wrong data' });
  });

  it('is lost for an acknowledged write that is not there in the end', async () => {
    const lines = ['write -P 1 0 64k', 'rule add drop event=write_aio', 'write -P 2 0 512'];
    expect(await verdictOn(lines)).toMatchObject({ name: 'lost', detail: expect.stringContaining('holds 0x01') });
  });

  it('is corrupt for an image whose check finds corruptions, or that cannot be opened', async () => {
    const lines = ['rule add drop iotype=write offset=128k..192k', 'write -P 2 0 512'];
    const verdict = await verdictOn(lines);
    expect(verdict).toMatchObject({ name: 'corrupt' });
    expect(verdict.mark).toMatch(/^the check finds: ERROR cluster N refcount=N reference=N$/);
    const header = ['write -P 1 0 512', 'rule add misdirect event=write_aio to=0', 'write -P 2 0 512'];
    expect(await verdictOn(header)).toMatchObject({ name: 'corrupt', mark: 'the image cannot be used' });
  });

  it('is hung for a request that waits for nothing that could come', async () => {
    const verdict = await verdictOn(['aio_write 0 512', 'write 64k 512'], () => ({
      event: (node, event) => (event === Event.WRITE_AIO ? node.loop.park({ kind: 'host-io' }) : undefined),
    }));
    expect(verdict).toMatchObject({ name: 'hung', mark: 'write never ended' });
  });

  it('is swallowed for an error that nothing reports, unless it loses nothing', async () => {
    expect(await verdictOn(['length'], (running) => ({ event: () => noted(running) }))).toMatchObject({
      name: 'sound',
    });
    const lines = ['write 0 64k', 'discard 0 64k'];
    expect(await verdictOn(lines, failing('discard'))).toMatchObject({ name: 'sound' });
    const swallowed = await verdictOn(['write 0 64k'], (running) => ({ event: () => noted(running) }));
    expect(swallowed).toMatchObject({ name: 'swallowed', detail: 'no command reports it: an event' });
  });

  it('is crashed for a broken invariant', async () => {
    const verdict = await verdictOn(['write 0 64k'], () => ({
      request: ({ command }) => {
        if (command > 0) throw new Error('assertion failed: number 7');
        return undefined;
      },
    }));
    expect(verdict).toEqual({
      name: 'crashed',
      detail: 'assertion failed: number 7',
      mark: 'assertion failed: number N',
    });
  });

  it('is leak for clusters that nothing refers to', async () => {
    const verdict = await verdictOn(['write 0 64k', 'discard 0 64k'], (running) => ({
      request: ({ kind, offset, command }) => {
        const isRefcountBlock = offset >= 128 << 10 && offset < 192 << 10;
        if (command === 1 || kind !== 'write' || !isRefcountBlock) return undefined;
        running().note({ kind: 'injected', text: 'a write', isHint: false });
        throw new BlockError(5);
      },
    }));
    expect(verdict).toEqual({ name: 'leak', detail: '1 leaked cluster', mark: 'clusters leak' });
  });
});

function noted(running: () => Case): undefined {
  if (running().command > 0) running().note({ kind: 'injected', text: 'an event', isHint: false });
  return undefined;
}

/** The verdicts of a sweep that fails reads of the backing file, once, in the first command. */
async function readsOfBackingFailing(lines: readonly string[]): Promise<string[]> {
  const base = path.join(folder, 'base.qcow2');
  const overlay = path.join(folder, 'overlay.qcow2');
  writeFileSync(base, makeImage({ lengthBytes: 1 << 20 }));
  await runOnFiles(scenarioOf(`driver=qcow2,file.driver=file,file.filename=${base}`, ['write -P 9 0 256k']));
  writeFileSync(overlay, makeImage({ lengthBytes: 1 << 20, backing: { filename: base, format: 'qcow2' } }));
  const world = worldOf(scenarioOf(`driver=qcow2,file.driver=file,file.filename=${overlay}`, lines));
  const options = { seed: 1, casesMax: Number.MAX_SAFE_INTEGER, own: new Map() };
  const units = await sweep.prepare(world, await readBaseline(world), options);
  const outcomes: Outcome[] = [];
  for (let unit = 0; unit < units.count; unit++) outcomes.push(...(await units.run(unit, () => false)));
  world.close();
  const failed = outcomes.filter(({ title }) => /^EIO once at read \d+ of file 1 \(line 1/.test(title));
  return failed.map(({ verdict }) => verdict);
}

describe('an error within a look at the status of a backing file', () => {
  // Observed with qemu-io 7.2.22: the write falls back to copying, and says nothing.
  it.each(['write -P 1 4k 4k', 'write -z 4k 4k'])('is not swallowed by %s, which does without', async (line) => {
    const verdicts = await readsOfBackingFailing([line, 'read 0 64k']);
    expect(verdicts.length).toBeGreaterThan(1);
    expect(new Set(verdicts)).toEqual(new Set(['sound']));
  });
});
