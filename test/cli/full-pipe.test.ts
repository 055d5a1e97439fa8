/** A reader that takes nothing more: signals act all the same, and nothing is lost for one that is only slow. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const image = path.join(folder, 'disk.raw');
const script = path.join(folder, 'script');
const words = [blkscope.command, ...blkscope.args, '-f', 'raw', '-t', 'writeback', image];

/** A script that prints far more than a pipe holds. */
function prepare(): void {
  writeFileSync(image, Buffer.alloc(1 << 20));
  writeFileSync(script, `write -q -P 7 0 4k\n${'read -v 0 64k\n'.repeat(40)}`);
}

/** Waits until a FIFO takes nothing more. */
async function untilFull(fd: number): Promise<void> {
  for (;;) {
    try {
      writeSync(fd, '.');
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
      return;
    }
    await setTimeout(1);
  }
}

describe.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s', (signal) => {
  it('ends a program that waits for the reader of its output, with the image closed', async () => {
    prepare();
    const fifo = path.join(folder, signal);
    execFileSync('mkfifo', [fifo]);
    const ours = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    const theirs = openSync(fifo, constants.O_WRONLY);
    const input = openSync(script, 'r');
    const [command = '', ...args] = words;
    const child = spawn(command, args, { cwd: folder, env: plainEnvironment(), stdio: [input, theirs, theirs] });
    closeSync(input);
    closeSync(theirs);
    await untilFull(ours);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([null, signal]);
    closeSync(ours);
    expect(readFileSync(image).subarray(0, 4096)).toEqual(Buffer.alloc(4096, 7));
  });
});

it('a slow reader gets every byte, in order', () => {
  prepare();
  /** The output without times and rates. */
  const through = (reader: string): string[] => {
    const pipeline = `script=$1; shift; "$@" <"$script" 2>&1 | { ${reader}; }`;
    const { stdout } = spawnSync('sh', ['-c', pipeline, 'sh', script, ...words], {
      env: plainEnvironment(),
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    return stdout.split('\n').map((line) => line.replace(/[\d.:]+ sec .*/, ''));
  };
  const slow = through('sleep 0.3; dd bs=1k count=100 2>&-; sleep 0.1; cat');
  expect(slow.filter((line) => line.startsWith('read 65536/65536'))).toHaveLength(40);
  expect(slow).toEqual(through('cat'));
});
