/** Logs that QEMU's blklogwrites has written are read, and the states that they tell of are judged. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { readBaseline } from '../../src/search/aftermath.ts';
import { crash } from '../../src/search/crash/crash.ts';
import { readWriteLog } from '../../src/search/crash/write-log.ts';
import { ReadOnlyFile } from '../../src/sandbox/disks/read-only-file.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { scenarioOf, worldOf } from '../search/search-world.ts';

const folder = useFolder();
const at = (name: string): string => path.join(folder, name);

function run(program: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(program, words, { cwd: folder, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

it('a log of blklogwrites leads from the image before to the image after, and no loss on the way corrupts it', async () => {
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', 'disk.qcow2', '1M');
  copyFileSync(at('disk.qcow2'), at('base.qcow2'));
  writeFileSync(at('writes.log'), Buffer.alloc(1 << 22));
  const image = [
    'driver=qcow2,file.driver=blklogwrites,file.file.driver=file,file.file.filename=disk.qcow2',
    'file.log.driver=file,file.log.filename=writes.log',
  ].join();
  const commands = ['write -P 1 0 64k', 'flush', 'write -z 4k 8k', 'write -P 2 100k 300', 'discard 0 4k', 'flush'];
  run('qemu-io', '-t', 'writeback', '--image-opts', ...commands.flatMap((line) => ['-c', line]), image);

  const file = new ReadOnlyFile(at('writes.log'));
  const log = readWriteLog(file, 1 << 22);
  file.close();
  expect(log.filter(({ kind }) => kind === 'flush').length).toBeGreaterThan(2);
  const after = readFileSync(at('disk.qcow2'));
  const replayed = Buffer.alloc(after.length);
  readFileSync(at('base.qcow2')).copy(replayed);
  for (const { kind, offset, bytes, data } of log) {
    if (kind === 'write') data?.copy(replayed, offset);
    if (kind === 'discard') replayed.fill(0, offset, offset + bytes);
  }
  expect(replayed.equals(after)).toBe(true);

  const words = `driver=qcow2,file.driver=file,file.filename=${at('base.qcow2')}`;
  const world = worldOf(scenarioOf(words, [], false));
  const own = new Map([['log', at('writes.log')]]);
  const units = await crash.prepare(world, await readBaseline(world), {
    seed: 1,
    casesMax: Number.MAX_SAFE_INTEGER,
    own,
  });
  const verdicts = new Set<string>();
  for (let unit = 0; unit < units.count; unit++) {
    for (const { verdict } of await units.run(unit, () => false)) verdicts.add(verdict);
  }
  expect(units.count).toBeGreaterThan(20);
  expect([...verdicts].filter((verdict) => verdict !== 'sound' && verdict !== 'leak')).toEqual([]);
  world.close();
});
