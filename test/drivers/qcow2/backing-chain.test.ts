/** Long chains of backing files: read through as qemu-io reads them, refused in a sentence where they are too long. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Open } from '../../../src/block/flags.ts';
import { HostImages } from '../../helpers/host-images.ts';
import { makeImage } from './make-image.ts';

let host: HostImages;

beforeEach(() => {
  host = new HostImages();
});

afterEach(() => host.remove());

/** A raw file of one value, below `count` images of qcow2; the name of the last one. */
function chain(count: number): string {
  let below = { filename: host.file('bottom', 65536, [0, 65536, 7]), format: 'raw' };
  for (let index = 0; index < count; index += 1) {
    const filename = host.path(`image${index}`);
    writeFileSync(filename, makeImage({ lengthBytes: 65536, clusterBits: 9, backing: below }));
    below = { filename, format: 'qcow2' };
  }
  return below.filename;
}

function callsOnStack(): number {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = Number.POSITIVE_INFINITY;
  const lines = (new Error().stack ?? '').split('\n');
  Error.stackTraceLimit = stackTraceLimit;
  return lines.filter((line) => /^ +at (?!async )/.test(line)).length;
}

describe('a chain of backing files', () => {
  it('of 500 nodes is read to its bottom, in pieces of the stack', async () => {
    const image = await host.open({ driver: 'qcow2' }, Open.READ_WRITE, chain(498));
    const passed = new Set<string>();
    let deepest = 0;
    host.context.trace.subscribe(({ node }) => {
      passed.add(node);
      if (passed.size % 30 === 0) deepest = Math.max(deepest, callsOnStack());
    });
    expect(await host.read(image, 512, 512)).toEqual(Buffer.alloc(512, 7));
    // The images with a file for each, and the raw image with its own.
    expect(passed.size).toBe(2 * 499);
    expect(deepest).toBeLessThan(5000);
  });

  it('of more than 500 nodes is refused', async () => {
    expect(await host.refusal({ driver: 'qcow2' }, Open.READ_WRITE, chain(501))).toMatch(
      /^(Could not open backing file: )+More than 500 nodes, each over the next$/,
    );
  });
});
