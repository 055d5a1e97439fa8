/** copy-on-read and compress over a qcow2 image: what they write to it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Open } from '../../src/block/flags.ts';
import type { BlockBackend } from '../../src/block/backend.ts';
import type { OptionValue } from '../../src/block/options/options.ts';
import { isAllocated } from '../../src/block/request/status.ts';
import { Qcow2Host } from './qcow2/qcow2-host.ts';

const CLUSTER = 65536;

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
  host.file('base', 4 * CLUSTER, [0, 4 * CLUSTER, 7], [CLUSTER, CLUSTER, 0]);
  const backing = { filename: 'base', format: 'raw' };
  host.image('x', { lengthBytes: 4 * CLUSTER, backing });
});
afterEach(() => host.remove());

function openFiltered(driver: string, options: Record<string, OptionValue> = {}, flags = 0): Promise<BlockBackend> {
  return host.open(
    {
      ...options,
      driver,
      'file.driver': 'qcow2',
      'file.file.driver': 'file',
      'file.file.filename': host.path('x'),
    },
    Open.READ_WRITE | Open.UNMAP | flags,
  );
}

/** Which clusters the image itself has, seen by opening it anew: data, zero or not at all. */
async function clusters(): Promise<string[]> {
  const image = await host.openQcow2('x');
  const kinds: string[] = [];
  for (let offset = 0; offset < 4 * CLUSTER; offset += CLUSTER) {
    let isOwn = false;
    await host.errno(async () => {
      isOwn = (await isAllocated(image.top, offset, CLUSTER)).allocated;
    });
    kinds.push(isOwn ? ((await host.read(image, offset, 1))[0] === 0 ? 'zero' : 'data') : '-');
  }
  await host.close(image);
  return kinds;
}

describe('copy-on-read', () => {
  it('copies the clusters that a read touches, and no others', async () => {
    const image = await openFiltered('copy-on-read');
    expect(await host.read(image, 2 * CLUSTER + 100, 10)).toEqual(Buffer.alloc(10, 7));
    await host.close(image);
    expect(await clusters()).toEqual(['-', '-', 'data', '-']);
  });

  it('zeroes what reads as zeroes, also as a switch of a node on top of the filter', async () => {
    const image = await openFiltered('copy-on-read', {}, Open.COPY_ON_READ);
    for (const offset of [0, CLUSTER]) await host.read(image, offset, CLUSTER);
    await host.close(image);
    expect(await clusters()).toEqual(['data', 'zero', '-', '-']);
    // Header, refcounts, tables, one cluster of data: none for the zeroes.
    expect(host.bytes('x').length).toBe(6 * CLUSTER);
  });
});

describe('detect-zeroes on a filter', () => {
  it('makes zero clusters of zeroes', async () => {
    const image = await openFiltered('copy-on-read', { 'detect-zeroes': 'on' });
    expect(await host.write(image, 0, CLUSTER, 0)).toBe(0);
    await host.close(image);
    expect(await clusters()).toEqual(['zero', '-', '-', '-']);
    expect(host.bytes('x').length).toBe(5 * CLUSTER);
  });
});

describe('compress', () => {
  it('writes every cluster compressed', async () => {
    const image = await openFiltered('compress');
    expect(await host.write(image, 0, CLUSTER, 5)).toBe(0);
    await host.close(image);
    expect(host.bytes('x').length).toBeLessThan(6 * CLUSTER);
    expect(await host.read(await host.openQcow2('x'), 0, 3)).toEqual(Buffer.from([5, 5, 5]));
  });
});
