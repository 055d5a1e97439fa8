/** Files that are much longer than what is in them: they cannot be searched cluster by cluster. */
import { truncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isAllocated } from '../../../../src/block/request/status.ts';
import { CLEAN, Qcow2Host } from '../qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** 2^30 clusters: with twice as many a check refuses to look, as QEMU's does. */
const ENORMOUS_BYTES = 2 ** 39;

describe('an image with an enormous hole at its end', () => {
  it('tells what is allocated, and gives the hole back when it is made shorter', async () => {
    host.image('x', { clusterBits: 9, lengthBytes: 1 << 20 });
    truncateSync(host.path('x'), ENORMOUS_BYTES);
    const image = await host.openQcow2('x');
    expect(await host.write(image, 0, 3000, 1)).toBe(0);
    let allocatedBytes = 0;
    const look = async (): Promise<void> => {
      allocatedBytes = (await isAllocated(image.top, 0, 4096)).bytes;
    };
    expect(await host.errno(look)).toBe(0);
    expect(allocatedBytes).toBe(3072);
    expect(await host.errno(() => image.truncate(1 << 19, { exact: true }))).toBe(0);
    expect(host.bytes('x').length).toBeLessThan(1 << 20);
    expect(await host.check(image)).toMatchObject(CLEAN);
  });

  it('is repaired', async () => {
    host.image('x', { clusterBits: 9, lazyRefcounts: true, lengthBytes: 1 << 20 }, (image) => {
      // Dirty, and its table of refcount blocks points nowhere.
      image.writeBigUInt64BE(1n, 72);
      image.writeBigUInt64BE(0n, Number(image.readBigUInt64BE(48)));
    });
    truncateSync(host.path('x'), ENORMOUS_BYTES);
    const image = await host.openQcow2('x');
    expect(host.warnings).toContain('Rebuilding refcount structure');
    expect(await host.check(image)).toMatchObject(CLEAN);
  });
});
