/** Finds of searches are confirmed by the real qemu-io: what blkscope says of QEMU's faults is so. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
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
