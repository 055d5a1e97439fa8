/**
 * Which writes wait for one that is still allocating, and what they do then. The answers are those of qemu-io 7.2.22.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blkscope, runProgram } from '../../../helpers/run-program.ts';
import { CLEAN, Qcow2Host } from '../qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** Runs a script on the image `x` below blkdebug: what it prints, without the lines of sizes and rates. */
async function say(...script: string[]): Promise<string[]> {
  const args = ['-t', 'writeback', '-d', 'unmap', '-f', 'qcow2', `blkdebug::${host.path('x')}`];
  const { stdout, stderr } = await runProgram(blkscope, args, { cwd: host.folder, stdin: `${script.join('\n')}\n` });
  const lines = (stdout.replaceAll('qemu-io> ', '') + stderr).split('\n');
  return lines.filter((line) => line !== '' && !line.includes(' ops; '));
}

async function expectClean(): Promise<void> {
  expect(await host.check(await host.openQcow2('x'))).toMatchObject(CLEAN);
}

it('a write to other subclusters of a cluster that stays where it is does not wait', async () => {
  host.image('x', { extendedL2: true });
  const said = await say(
    'write -q 0 2k',
    'break write_aio A',
    'aio_write -P 1 8k 2k',
    'wait_break A',
    'write -P 2 20k 2k',
    'resume A',
    'aio_flush',
    'read -q -P 1 8k 2k',
    'read -q -P 2 20k 2k',
  );
  expect(said).toEqual([
    "blkdebug: Suspended request 'A'",
    'wrote 2048/2048 bytes at offset 20480',
    "blkdebug: Resuming request 'A'",
    'wrote 2048/2048 bytes at offset 8192',
  ]);
  await expectClean();
});

it('a write that has waited looks anew for what it had found before', async () => {
  host.image('x', { lengthBytes: 1 << 20 });
  const said = await say(
    'write -q -P 1 0 64k',
    'break write_aio A',
    'aio_write -P 2 64k 64k',
    'wait_break A',
    'aio_write -P 3 0 128k',
    'discard 0 64k',
    'write -q -P 4 512k 64k',
    'resume A',
    'aio_flush',
    'read -q -P 3 0 128k',
    'read -q -P 4 512k 64k',
  );
  expect(said).toEqual([
    "blkdebug: Suspended request 'A'",
    'discard 65536/65536 bytes at offset 0',
    "blkdebug: Resuming request 'A'",
    'wrote 65536/65536 bytes at offset 65536',
    'wrote 131072/131072 bytes at offset 0',
  ]);
  await expectClean();
});
