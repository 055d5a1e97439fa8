/** The program with sources that block, have no end, or come in one line; and the batch that its input lets go on. */
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
beforeAll(() => {
  execFileSync('mkfifo', [path.join(folder, 'fifo')]);
  writeFileSync(path.join(folder, 'disk.raw'), Buffer.alloc(1 << 20));
});

const run = (args: readonly string[], stdin: string) => runProgram(blkscope, args, { cwd: folder, stdin });

describe('a FIFO without a writer', () => {
  it('is waited for by source, until SIGTERM', async () => {
    const { command, args } = blkscope;
    const child = spawn(command, [...args, '-f', 'raw', 'disk.raw'], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    const ended = new Promise((resolve) => child.on('close', (_status, signal) => resolve(signal)));
    let printed = '';
    child.stdout.on('data', (data: Buffer) => {
      printed += data.toString();
      // The second prompt does not come before the file has ended: the first length is done, and source has begun.
      if (printed.includes('1 MiB')) child.kill('SIGTERM');
    });
    child.stdin.write('length\nsource fifo\nlength\n');
    expect(await ended).toBe('SIGTERM');
    expect(errors).toMatch(/^(?:qemu-io: interrupted at fifo:1\n)?$/);
  });

  it('is refused as the data of a write, as rules and as a config file', async () => {
    const { stderr } = await run(['-f', 'raw', 'blkdebug::disk.raw'], 'write -s fifo 0 4k\nrule load fifo\n');
    expect(stderr).toBe(
      'fifo: Resource temporarily unavailable\n' +
        'qemu-io: Cannot read config file: Resource temporarily unavailable\n',
    );
    const opened = await run(['-f', 'raw', '-c', 'length', 'blkdebug:fifo:disk.raw'], '');
    expect(opened.stderr).toContain('Cannot read config file: Resource temporarily unavailable');
    expect(opened.exit).toBe('1');
  });
});

describe('a source without end', () => {
  it.each([['source /dev/zero'], ['rule load /dev/zero']])('is refused: %s', async (line) => {
    const { stderr, exit } = await run(['-f', 'raw', 'blkdebug::disk.raw'], `${line}\n`);
    expect(stderr).toMatch(/too (?:long|large)/);
    expect(exit).toBe('1');
  });

  it('is the data of a write up to its length', async () => {
    const lines = 'write -q -s /dev/zero 0 4k\nread -q -P 0 0 4k\n';
    expect((await run(['-f', 'raw', 'disk.raw'], lines)).exit).toBe('0');
  });

  it('is refused in one line of standard input', async () => {
    const { stderr, exit } = await run(['-f', 'raw', 'disk.raw'], 'x'.repeat(20 << 20));
    expect(stderr).toBe('qemu-io: a line of the input is too long\n');
    expect(exit).toBe('1');
  });
});

describe('a request of qcow2 that has to read its table first', () => {
  const script = 'break write_aio A\naio_write -q 0 4k\nresume A\naio_flush\n';

  it.each([['standard input'], ['source']])('is at its breakpoint when resume comes from %s', async (from) => {
    const image = path.join(folder, 'disk.qcow2');
    writeFileSync(image, makeImage());
    await run(['-f', 'qcow2', image], 'write -q 0 64k\n');
    writeFileSync(path.join(folder, 'script'), script);
    const { stdout, exit } = await run(
      ['-f', 'qcow2', `blkdebug::${image}`],
      from === 'source' ? 'source script\n' : script,
    );
    expect(stdout.replaceAll('qemu-io> ', '')).toBe(
      "blkdebug: Suspended request 'A'\nblkdebug: Resuming request 'A'\n",
    );
    expect(exit).toBe('0');
  });
});
