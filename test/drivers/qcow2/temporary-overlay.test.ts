/** The temporary overlay of `-s`: written to in place of the image, and gone afterwards. */
import { existsSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { emptyImage, makeTemporaryOverlay } from '../../../src/drivers/qcow2/temporary-overlay.ts';

const CLUSTER = 65536;

describe('the overlay of snapshot mode', () => {
  it('counts each of its clusters once and maps nothing', () => {
    const image = emptyImage(1024 ** 4 + 1);
    expect(image.readBigUInt64BE(24)).toBe(BigInt(1024 ** 4 + 1));
    expect(image.readUInt32BE(36)).toBe(2049);
    const refcounts = Array.from({ length: 6 }, (_, cluster) => image.readUInt16BE(2 * CLUSTER + 2 * cluster));
    expect(refcounts).toEqual([1, 1, 1, 1, 0, 0]);
    expect(image.length).toBe(4 * CLUSTER);
    expect(image.subarray(3 * CLUSTER).every((byte) => byte === 0)).toBe(true);
  });

  it('gives an L1 table of more than a cluster its clusters', () => {
    const image = emptyImage(8192 * 512 * 1024 ** 2 + 1);
    expect(image.readUInt32BE(36)).toBe(8193);
    expect(image.length).toBe(5 * CLUSTER);
    expect(image.readUInt16BE(2 * CLUSTER + 8)).toBe(1);
  });

  it('is refused for an image that qcow2 cannot cover', () => {
    expect(() => emptyImage(2 ** 52)).toThrow('too large for qcow2');
  });

  it('is a file of the user alone, until it is removed', async () => {
    const overlay = await makeTemporaryOverlay(CLUSTER);
    expect(statSync(overlay.filename).mode & 0o777).toBe(0o600);
    overlay.remove();
    expect(existsSync(overlay.filename)).toBe(false);
  });
});
