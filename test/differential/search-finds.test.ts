/** Finds of searches are confirmed by the real qemu-io: what blkscope says of QEMU's faults is so. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const scenarios = path.resolve(import.meta.dirname, '../../scripts/scenarios');

it('one write whose flush fails once corrupts an image of QEMU 7.2', async () => {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', 'disk.qcow2', '1M'], { cwd });
  copyFileSync(path.join(scenarios, 'one-write'), path.join(cwd, 'script'));
  const words = ['sweep', '--confirm', 'qemu-io', '--out', 'finds', 'disk.qcow2', 'script'];
  const { stdout, exit } = await runProgram(blkscope, words, { cwd });
  expect(exit).toBe('1');
  const confirmed = 'qemu-io: corrupt: 2 corruptions: ERROR cluster 4 refcount=0 reference=1';
  expect(stdout).toMatch(new RegExp(`\\n1\\. confirmed: ${confirmed}\\n[^]*\\n2\\. confirmed: ${confirmed}\\n$`));
  expect(readFileSync(path.join(cwd, 'finds/find-1.cmd'), 'utf8')).toBe('write -P 1 0 512\n');
});

it('one write that fails once gives another one a second place in an image of QEMU 7.2', async () => {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'small.qcow2', '1M'], { cwd });
  const script = path.join(scenarios, 'two-writes');
  const words = ['sweep', '-t', 'writeback', '--confirm', 'qemu-io', 'small.qcow2', script];
  const { stdout, exit } = await runProgram(blkscope, words, { cwd });
  expect(exit).toBe('1');
  expect(stdout).toMatch(/^1\. {2}wrong data: the disk holds wrong data in the end; pwritev_done; write\n/);
  expect(stdout).toMatch(/\n1\. confirmed: qemu-io: wrong data: in the end the sector at 0 holds 0x02; allowed: /);
});

/** Faults of QEMU 7.2 that README names, each with the search that finds it, and what it is called. */
const known: readonly (readonly [scenario: string, words: readonly string[], find: RegExp])[] = [
  ['discard-beside-write', ['explore', '--discard=unmap'], /wrong data: .*; aio_write; discard; write\n/],
  ['zeroes-beside-write', ['explore'], /wrong data: .*; aio_write; write; write\n/],
  ['compressed-beside-write', ['explore'], /lost: .*; aio_write; write\n/],
  ['shorter-beside-write', ['explore'], /wrong data: .*; aio_write; truncate; write\n/],
  ['compressed-into-freed', ['explore', '--discard=unmap'], /wrong data: the disk holds wrong data in the end\n/],
  ['reused-cluster', ['crash'], /wrong data: .*; before a flush of write\n/],
  ['zeroed-neighbour', ['crash'], /lost: .*; before a flush of write\n/],
  ['compressed-write', ['crash'], /lost: .*; before a flush of open or close\n/],
];

it.each(known)('%s is found, as a command file that shows it in the real program', async (name, words, find) => {
  const folder = path.join(cwd, name);
  mkdirSync(folder);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', 'disk.qcow2', '1M'], { cwd: folder });
  const options = ['--out', 'finds', '--confirm', 'qemu-io', 'disk.qcow2', path.join(scenarios, name)];
  const { stdout, exit } = await runProgram(blkscope, [...words, ...options], { cwd: folder });
  expect({ stdout, exit }).toEqual({ stdout: expect.stringMatching(find), exit: '1' });
  expect(stdout).toMatch(/\n1\. confirmed: qemu-io: /);
  expect(readFileSync(path.join(folder, 'finds/find-1.cmd'), 'utf8').trimEnd().split('\n').length).toBeLessThan(13);
});
