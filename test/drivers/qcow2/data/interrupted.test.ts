/** A signal during a long change of metadata ends it at once, and the image is closed in order. */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blkscope } from '../../../helpers/run-program.ts';
import { CLEAN, Qcow2Host } from '../qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

const LENGTH = 1 << 20;

it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s during truncate -m metadata', async (signal) => {
  host.image('x', { clusterBits: 9, lengthBytes: LENGTH });
  const before = statSync(host.path('x')).size;
  const args = [...blkscope.args, '-f', 'qcow2', '-t', 'writeback', host.path('x')];
  const child = spawn(blkscope.command, args, { cwd: host.folder, stdio: 'pipe' });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  child.stdin.write('write -P 7 0 64k\ntruncate -m metadata 8G\n');
  // The tables are written as they leave the cache: the file is longer when the work has begun.
  const watch = setInterval(() => {
    if (statSync(host.path('x')).size <= before + (4 << 20)) return;
    // Once: a second signal does not wait for the image to be closed.
    clearInterval(watch);
    child.kill(signal);
  }, 20);
  const ended = await new Promise((resolve) => child.on('close', (_status, by) => resolve(by)));
  expect(ended).toBe(signal);
  expect(stderr).toContain('Operation canceled');
  const image = await host.openQcow2('x');
  expect(image.getLength()).toBe(LENGTH);
  expect(await host.check(image)).toMatchObject(CLEAN);
  const data = Buffer.alloc(65536);
  expect(await host.errno(() => image.pread(0, data))).toBe(0);
  expect(data.every((byte) => byte === 7)).toBe(true);
});
