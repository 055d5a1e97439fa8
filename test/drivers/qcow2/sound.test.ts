/** Images stay sound where clusters are given back and taken anew; in all of this QEMU 7.2 loses data or damages the image. */
import { copyFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Req } from '../../../src/block/flags.ts';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { Errno } from '../../../src/util/errno.ts';
import { blkscope, runProgram } from '../../helpers/run-program.ts';
import { CLEAN, Qcow2Host } from './qcow2-host.ts';

const CLUSTER = 4096;
let host: Qcow2Host;
let image: BlockBackend;
beforeEach(async () => {
  host = new Qcow2Host();
  host.image('disk.qcow2', { clusterBits: 12 });
  image = await host.openQcow2('disk.qcow2');
});
afterEach(() => host.remove());

const pack = (cluster: number, value: number): Promise<number> =>
  host.errno(() => image.pwrite(cluster * CLUSTER, Buffer.alloc(CLUSTER, value), Req.WRITE_COMPRESSED));
const isFilled = async (from: BlockBackend, offset: number, bytes: number, value: number): Promise<boolean> =>
  (await host.read(from, offset, bytes)).equals(Buffer.alloc(bytes, value));

describe('compressed clusters', () => {
  it('never go into a cluster that has been given back and taken by others', async () => {
    expect(await pack(0, 1)).toBe(0);
    expect(await host.errno(() => image.pdiscard(0, CLUSTER))).toBe(0);
    expect(await host.write(image, CLUSTER, CLUSTER, 2)).toBe(0);
    expect(await pack(2, 3)).toBe(0);
    expect(await isFilled(image, CLUSTER, CLUSTER, 2)).toBe(true);
    expect(await isFilled(image, 2 * CLUSTER, CLUSTER, 3)).toBe(true);
    expect(await host.check(image)).toEqual(CLEAN);
  });

  it('overwritten in part keep the rest until the L2 table on disk knows of it', async () => {
    await host.close(image);
    image = await host.openDebug('disk.qcow2', {
      'set-state.0.event': 'write_aio',
      'set-state.0.new_state': '2',
      'inject-error.0.event': 'l2_update',
      'inject-error.0.state': '2',
    });
    expect(await pack(0, 1)).toBe(0);
    expect(await host.errno(() => image.flush())).toBe(0);
    expect(await host.write(image, 0, 512, 2)).toBe(0);
    // Takes the cluster that the compressed data had, and must not write there while the L2 table cannot be written.
    expect(await host.write(image, CLUSTER, CLUSTER, 3)).toBe(Errno.EIO);
    copyFileSync(host.path('disk.qcow2'), host.path('dead.qcow2'));
    const dead = await host.openQcow2('dead.qcow2');
    expect(await isFilled(dead, 512, CLUSTER - 512, 1)).toBe(true);
  });
});

describe('while a write allocates', () => {
  it.each([
    ['zeroes', ['write -P 1 0 4k', 'write -z 0 4k'], 'write -z -u 0 4k'],
    ['discards', ['write -P 1 0 4k', 'write -z 0 4k'], 'discard 0 4k'],
    ['a compressed write', [], 'write -c -P 3 0 4k'],
    ['a shorter length', ['write -P 1 8k 4k', 'write -z 8k 4k'], 'truncate 4k'],
  ])('%s of its clusters wait', async (_, before, command) => {
    await host.close(image);
    const offset = command.startsWith('truncate') ? '8k' : '0';
    const script = [...before, 'break write_aio A', `aio_write -P 2 ${offset} 512`, command, 'resume A', 'flush'];
    const { stderr } = await runProgram(blkscope, ['-f', 'qcow2', `blkdebug::${host.path('disk.qcow2')}`], {
      cwd: host.folder,
      stdin: `${script.join('\n')}\n`,
    });
    expect(stderr).toBe('');
    image = await host.openQcow2('disk.qcow2');
    expect(await host.check(image)).toEqual(CLEAN);
    if (command.startsWith('write -c')) expect(await isFilled(image, 0, 512, 2)).toBe(true);
  });
});

it('a shorter disk keeps its file until no L2 table on disk points behind its end', async () => {
  await host.close(image);
  host.image('disk.qcow2', { lengthBytes: 4 << 20 });
  const script = ['write -q 0 2M', 'flush', 'break l2_update A', 'truncate 48k', 'abort'];
  const { stdout } = await runProgram(
    blkscope,
    ['-t', 'writeback', '-f', 'qcow2', `blkdebug::${host.path('disk.qcow2')}`],
    { cwd: host.folder, stdin: `${script.join('\n')}\n` },
  );
  expect(stdout).toContain("Suspended request 'A'");
  const dead = await host.openQcow2('disk.qcow2');
  expect(await host.check(dead)).toMatchObject({ corruptions: 0, checkErrors: 0 });
});
