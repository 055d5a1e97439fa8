/** copy-before-write with a bitmap of its disk: only what is dirty there is copied, and can be read of the snapshot. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Open } from '../../../src/block/flags.ts';
import type { OptionValue } from '../../../src/block/options/options.ts';
import { Errno } from '../../../src/util/errno.ts';
import { Qcow2Host } from '../qcow2/qcow2-host.ts';

const CLUSTER = 65536;

let host: Qcow2Host;
beforeEach(async () => {
  host = new Qcow2Host();
  // A granule is half a cluster.
  host.image('disk', { lengthBytes: 8 * CLUSTER, bitmap: { name: 'b', granularityBits: 15 } });
  host.file('old', 8 * CLUSTER, [0, 8 * CLUSTER, 9]);
  const image = await host.openQcow2('disk');
  for (const cluster of [0, 1, 5]) await host.write(image, cluster * CLUSTER + 100, 1, 7);
  await host.close(image);
});
afterEach(() => host.remove());

function options(prefix: string, bitmap = 'b'): Record<string, OptionValue> {
  const own = {
    driver: 'copy-before-write',
    'file.driver': 'qcow2',
    'file.node-name': 'disk',
    'file.file.driver': 'file',
    'file.file.filename': host.path('disk'),
    'target.driver': 'file',
    'target.filename': host.path('old'),
    'bitmap.node': 'disk',
    'bitmap.name': bitmap,
  };
  return Object.fromEntries(Object.entries(own).map(([key, value]) => [prefix + key, value]));
}

it('copies the clusters of the bitmap alone', async () => {
  const image = await host.open(options(''), Open.READ_WRITE | Open.UNMAP);
  await host.write(image, 0, 8 * CLUSTER, 1);
  await host.close(image);
  const old = host.bytes('old');
  const copied = Array.from({ length: 8 }, (_, index) => old[index * CLUSTER] === 0);
  expect(copied).toEqual([true, true, false, false, false, true, false, false]);
  expect([old[100], old[CLUSTER + 100], old[2 * CLUSTER + 100], old[5 * CLUSTER + 100]]).toEqual([7, 7, 9, 7]);
});

it('shows the clusters of the bitmap alone', async () => {
  const image = await host.open({ driver: 'snapshot-access', ...options('file.') }, Open.READ_WRITE | Open.UNMAP);
  expect((await host.read(image, 5 * CLUSTER + 100, 1))[0]).toBe(7);
  expect(await host.errno(() => host.read(image, 2 * CLUSTER, 1).then(() => undefined))).toBe(Errno.EACCES);
  expect(await host.errno(() => host.read(image, CLUSTER, CLUSTER + 1).then(() => undefined))).toBe(Errno.EACCES);
  await host.close(image);
});

it('refuses a bitmap that was not stored', async () => {
  const image = await host.openQcow2('disk');
  const left = host.bytes('disk');
  await host.close(image);
  host.change('disk', (bytes) => {
    left.copy(bytes);
  });
  await expect(host.open(options(''), Open.READ_WRITE)).rejects.toThrow(
    "Cannot create block-copy-state: Failed to merge bitmap 'b' to internal copy-bitmap: " +
      "Bitmap 'b' is inconsistent and cannot be used",
  );
});
