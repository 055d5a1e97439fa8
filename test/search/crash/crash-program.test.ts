/** `blkscope crash` as a program: its output, the files of its finds, and logs in place of a script. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { makeImage } from '../../drivers/qcow2/make-image.ts';
import { blkscope, runProgram } from '../../helpers/run-program.ts';
import { useFolder } from '../../helpers/sandbox.ts';

const cwd = useFolder();
const at = (name: string): string => path.join(cwd, name);
const scenario = path.join(import.meta.dirname, '../../../scripts/scenarios/reused-cluster');
const program = path.join(import.meta.dirname, '../../../bin/blkscope.js');

beforeAll(() => writeFileSync(at('disk.qcow2'), makeImage({ lengthBytes: 1 << 20 })));

const crash = (...words: string[]) => runProgram(blkscope, ['crash', ...words], { cwd });

it('writes the disks of a find, which another program opens and reads as the search did', {
  timeout: 120_000,
}, async () => {
  const before = readFileSync(at('disk.qcow2'));
  const { stdout, exit } = await crash('--jobs', '1', '--out', 'finds', '--confirm', program, 'disk.qcow2', scenario);
  expect(exit).toBe('1');
  expect(stdout).toContain('1.  wrong data: the disk holds wrong data in the end; before a flush of write\n');
  expect(stdout).toContain('\n1. qemu-io blkdebug::finds/find-1/disk.qcow2 < finds/find-1.cmd\n');
  expect(stdout).toContain('\n1. confirmed: blkscope.js: wrong data: in the end the sector at 0 holds 0x02;');
  expect(readFileSync(at('finds/find-1.cmd'), 'utf8')).toBe('read -P 0x02 0 512\n');
  expect(readFileSync(at('disk.qcow2')).equals(before)).toBe(true);
  const read = await runProgram(blkscope, ['-c', 'read -P 2 0 512', 'finds/find-1/disk.qcow2'], { cwd });
  expect(read.stdout).toMatch(/^read 512\/512 bytes at offset 0\n/);
});

it('takes no silence for an answer', async () => {
  const short = path.join(path.dirname(scenario), 'compressed-write');
  const { stdout } = await crash('--jobs', '1', '--confirm', '/bin/true', 'disk.qcow2', short);
  expect(stdout).toMatch(/^1\. {2}lost: /);
  expect(stdout).toContain('\n1. not confirmed: true: says nothing\n');
});

it('gives the same bytes with one thread or two', async () => {
  const one = await crash('--json', '--torn', '--jobs', '1', 'disk.qcow2', scenario);
  const two = await crash('--json', '--torn', '--jobs', '2', 'disk.qcow2', scenario);
  expect(one.stdout.split('\n').length).toBeGreaterThan(100);
  expect(two.stdout).toBe(one.stdout);
});

it('takes a log in place of a script', async () => {
  const exported = await crash('--jobs', '1', '--export-log', 'writes.log', 'disk.qcow2', scenario);
  expect(existsSync(at('writes.log'))).toBe(true);
  const judged = await crash('--jobs', '1', '--log', 'writes.log', 'disk.qcow2');
  // Nothing is known of the data, so that only the metadata is judged.
  expect(judged).toMatchObject({ exit: '0', stderr: '' });
  expect(judged.stdout.split(' cases')[0]).toBe(/(\d+) cases/.exec(exported.stdout)?.[1]);
  const wrong = await crash('--log', scenario, 'disk.qcow2');
  expect(wrong).toMatchObject({ exit: '2', stderr: `blkscope crash: ${scenario}: not a log of writes\n` });
  expect(await crash('--log', 'writes.log')).toMatchObject({
    exit: '2',
    stderr: 'blkscope crash: an image is needed\n',
  });
});
