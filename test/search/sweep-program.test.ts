/** The program's searches: options, output, exit status, shards and interrupted searches, on a small image. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, plainEnvironment, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const at = (name: string): string => path.join(cwd, name);
const digest = (): string =>
  createHash('sha256')
    .update(readFileSync(at('disk.qcow2')))
    .digest('hex');

beforeAll(() => {
  writeFileSync(at('disk.qcow2'), makeImage({ lengthBytes: 1 << 20, clusterBits: 12 }));
  writeFileSync(at('short.cmd'), 'write -P 1 0 4k\nread -P 1 0 4k\n');
  writeFileSync(
    at('long.cmd'),
    'write -P 1 0 64k\naio_write -P 2 4k 8k\naio_flush\ndiscard 0 16k\nwrite -z 1k 9k\nflush\n',
  );
});

const sweep = (...words: string[]) => runProgram(blkscope, ['sweep', ...words], { cwd });

describe('sweep', () => {
  it('finds that a flush that fails once corrupts the image, as in QEMU 7.2, and leaves the image alone', async () => {
    const before = digest();
    const { stdout, stderr, exit } = await sweep('--jobs', '1', 'disk.qcow2', 'short.cmd');
    expect(stderr).toBe('');
    expect(stdout).toContain(
      'corrupt: the check finds: ERROR cluster N refcount=N reference=N; pwritev_done; write\n' +
        '    case 101 and 1 more: EIO once at pwritev_done 3 (line 1: write -P 1 0 4k)\n' +
        '    2 corruptions: ERROR cluster 4 refcount=0 reference=1\n',
    );
    expect(stdout).not.toMatch(/wrong data:|lost:|hung:|crashed:/);
    expect(stdout).toMatch(/\n197 cases, 2 finds, 20 with leaked clusters\n$/);
    expect(exit).toBe('1');
    expect(digest()).toBe(before);
  });

  it('gives the same bytes with one thread or two, in one part or in eight', { timeout: 120_000 }, async () => {
    const whole = await sweep('--json', '--jobs', '1', 'disk.qcow2', 'long.cmd');
    const again = await sweep('--json', '--jobs', '2', 'disk.qcow2', 'long.cmd');
    expect(again.stdout).toBe(whole.stdout);
    expect(again.stderr).toBe(whole.stderr);
    const parts = [1, 2, 3, 4, 5, 6, 7, 8];
    for (const part of parts) {
      const { stdout } = await sweep('--json', '--jobs', '1', '--shard', `${part}/8`, 'disk.qcow2', 'long.cmd');
      writeFileSync(at(`part${part}`), stdout);
    }
    const files = parts.map((part) => `part${part}`);
    const merged = await runProgram(blkscope, ['merge', ...files.toReversed()], { cwd });
    expect(merged).toEqual({ stdout: whole.stdout, stderr: '', exit: '0' });
    const some = await runProgram(blkscope, ['merge', 'part1'], { cwd });
    expect(some.stderr).toMatch(/^blkscope merge: \d+ of \d+ units are missing\n$/);
    writeFileSync(at('half'), whole.stdout.slice(0, whole.stdout.length / 2));
    const resumed = await sweep('--json', '--resume', 'half', 'disk.qcow2', 'long.cmd');
    expect(resumed.stdout).toBe(whole.stdout);
    const other = await sweep('--json', '--resume', 'half', 'disk.qcow2', 'short.cmd');
    expect(other).toMatchObject({ stderr: 'blkscope sweep: half: the results of another search\n', exit: '2' });
  });

  it('killed at any moment and run again changes nothing', { timeout: 120_000 }, async () => {
    const words = ['--json', '--jobs', '1', 'disk.qcow2', 'long.cmd'];
    const whole = await sweep(...words);
    for (const bytes of [100, 5000, 20_000]) {
      const child = spawn(blkscope.command, [...blkscope.args, 'sweep', ...words], { cwd, env: plainEnvironment() });
      let got = '';
      await new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          got += chunk.toString();
          if (got.length > bytes) child.kill('SIGKILL');
        });
        child.on('close', () => resolve());
      });
      writeFileSync(at('killed'), got);
      writeFileSync(at('whole'), whole.stdout);
      const merged = await runProgram(blkscope, ['merge', 'killed', 'whole'], { cwd });
      expect(merged.stdout).toBe(whole.stdout);
    }
  });

  it('ends on Ctrl-C with what it has', async () => {
    const words = ['sweep', '--json', '--jobs', '1', '--pairs', 'disk.qcow2', 'long.cmd'];
    const child = spawn(blkscope.command, [...blkscope.args, ...words], { cwd, env: plainEnvironment() });
    let got = '';
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const status = await new Promise((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        if (got === '') child.kill('SIGINT');
        got += chunk.toString();
      });
      child.on('close', resolve);
    });
    expect(got.endsWith('\n')).toBe(true);
    expect(said).toMatch(/\d+ cases \(\d+ of \d+ units\), \d+ finds?/);
    expect([1, 2]).toContain(status);
  });

  it('writes JUnit beside, and fails pairs of requests', async () => {
    const { stdout } = await sweep(
      '--json',
      '--junit',
      'junit.xml',
      '--pairs',
      '--max-cases',
      '60',
      'disk.qcow2',
      'short.cmd',
    );
    expect(stdout).toMatch(
      /"case":"\d+\.1","of":\d+,"verdict":"[a-z ]+","title":"EIO once at \w+ \d+, then EIO once at/,
    );
    expect(readFileSync(at('junit.xml'), 'utf8')).toMatch(/^<\?xml[^]*<testsuite name="blkscope sweep" tests="\d+"/);
  });

  it('takes the options of the program, and images in their words', async () => {
    const image = 'driver=qcow2,lazy-refcounts=on,file.driver=file,file.filename=disk.qcow2';
    const lines = await sweep('--json', '--max-cases', '9', '-t', 'writeback', '--image-opts', image, 'short.cmd');
    expect(lines.stdout.split('\n')[0]).toContain('"options":["-t","writeback","--image-opts"]');
    expect(lines.stdout).toContain('"event":"none"');
  });

  it.each([
    [['disk.qcow2'], 'an image and a script are needed'],
    [['disk.qcow2', 'none.cmd'], 'none.cmd: No such file or directory'],
    [
      ['none.qcow2', 'short.cmd'],
      "can't open device none.qcow2: Could not open 'none.qcow2': No such file or directory",
    ],
    [['-s', 'disk.qcow2', 'short.cmd'], 'a search never writes to the image: -s has no meaning'],
    [['-c', 'length', 'disk.qcow2', 'short.cmd'], 'of the options of the program, a search takes those'],
    [['--jobs', '0', 'disk.qcow2', 'short.cmd'], "--jobs takes a whole number from 1 on, not '0'"],
    [['--seed', '-1', 'disk.qcow2', 'short.cmd'], "--seed takes a whole number from 0 on, not '-1'"],
    [['--shard', '5/4', 'disk.qcow2', 'short.cmd'], "--shard takes I/N, from 1/N to N/N, not '5/4'"],
    [['disk.qcow2', 'outside.cmd'], "outside.cmd: 'record start run' acts on more than the image"],
  ])('cannot run with %s', async (words, message) => {
    writeFileSync(at('outside.cmd'), 'record start run\n');
    const { stdout, stderr, exit } = await sweep(...words);
    expect(stderr).toContain(`blkscope sweep: ${message}`);
    expect({ stdout, exit }).toEqual({ stdout: '', exit: '2' });
  });
});
