/** The program's searches: options, output, exit status, shards and interrupted searches, on a small image. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inflateRawSync } from 'node:zlib';
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
  writeFileSync(at('long.cmd'), 'aio_write -P 2 0 6k\naio_flush\ndiscard 0 4k\n');
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

  it('refuses a script with a line that is no command', async () => {
    writeFileSync(at('typo.cmd'), 'write -P 1 0 4k\n\nwirte -P 1 0 4k\n');
    expect(await sweep('disk.qcow2', 'typo.cmd')).toEqual({
      stdout: '',
      stderr: 'blkscope sweep: typo.cmd: line 3: command "wirte" not found\n',
      exit: '2',
    });
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
    for (const bytes of [100, 9000]) {
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

  it('makes finds small, writes them as files, has them confirmed, and draws their timelines', async () => {
    const script = ['length', 'write -P 1 0 64k', 'read -P 1 0 4k', 'flush'];
    writeFileSync(at('find.cmd'), script.map((line) => `${line}\n`).join(''));
    const before = digest();
    const program = path.join(import.meta.dirname, '../../bin/blkscope.js');
    const words = ['--out', 'finds', '--confirm', program, '--html', 'finds.html', '--max-cases', '140'];
    const { stdout, exit } = await sweep(...words, 'disk.qcow2', 'find.cmd');
    expect(exit).toBe('1');
    expect(stdout).toContain('1. qemu-io blkdebug:finds/find-1.conf:disk.qcow2 < finds/find-1.cmd\n');
    expect(stdout).toMatch(
      /\n1\. confirmed: blkscope\.js: corrupt: 2 corruptions: ERROR cluster 4 refcount=0 reference=1\n/,
    );
    expect(digest()).toBe(before);
    expect(readFileSync(at('finds/find-1.cmd'), 'utf8')).toBe('write -P 1 0 512\n');
    expect(readFileSync(at('finds/find-1.conf'), 'utf8')).toMatch(/^\[set-state\]\nevent = "pwritev_done"\n/);
    const page = readFileSync(at('finds.html'), 'utf8');
    expect(page).toContain('<p><span class="verdict">corrupt</span>: 2 corruptions: ');
    const [, packed = ''] = /class=&quot;run&quot;&gt;([^&]*)&lt;/.exec(page) ?? [];
    expect(inflateRawSync(Buffer.from(packed, 'base64')).toString()).toContain('"kind":"error-injected"');
    const replayed = await runProgram(blkscope, ['replay', 'finds/find-1.json'], { cwd });
    expect(replayed).toEqual({
      stdout:
        'qemu-io> write -P 1 0 512\nwrite failed: Input/output error\n' +
        'EIO once at pwritev_done 3 (line 1: write -P 1 0 512)\n' +
        'corrupt: 2 corruptions: ERROR cluster 4 refcount=0 reference=1\n',
      stderr: '',
      exit: '0',
    });
    const denied = await sweep('--confirm', '/bin/true', '--max-cases', '120', 'disk.qcow2', 'short.cmd');
    expect(denied.stdout).toMatch(/\n1\. not confirmed: true: swallowed: /);
    const absent = await sweep('--confirm', './absent', '--max-cases', '120', 'disk.qcow2', 'short.cmd');
    expect(absent.stderr).toMatch(/^blkscope sweep: Could not run '\.\/absent': /);
    expect(absent.exit).toBe('2');
  });

  it('replays only what is a find', async () => {
    writeFileSync(at('other.json'), '{"find":"sweep"}');
    const { stderr, exit } = await runProgram(blkscope, ['replay', 'other.json'], { cwd });
    expect({ stderr, exit }).toEqual({ stderr: 'blkscope replay: other.json: no find of a search\n', exit: '2' });
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
    [['disk.qcow2', '/dev/zero'], '/dev/zero: longer than 1048576 bytes'],
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
