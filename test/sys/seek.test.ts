/** Data and holes of files. */
import { openSync, closeSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { setLibcAvailable } from '../../src/sys/libc.ts';
import { extentAt, lengthOf } from '../../src/sys/seek.ts';
import { hostFile } from './host-file.ts';
import { HostError } from '../../src/util/errno.ts';

const K64 = 1 << 16;

afterEach(() => setLibcAvailable(true));

describe('extentAt', () => {
  it('tells data from holes, each up to where the other begins', () => {
    const { fd, fill } = hostFile(4 * K64);
    fill(K64, K64, 1);
    expect(extentAt(fd, 0)).toEqual({ isData: false, end: K64 });
    expect(extentAt(fd, 4096)).toEqual({ isData: false, end: K64 });
    expect(extentAt(fd, K64)).toEqual({ isData: true, end: 2 * K64 });
    expect(extentAt(fd, K64 + 4096)).toEqual({ isData: true, end: 2 * K64 });
  });

  it('takes what lies behind the last data for a hole without an end', () => {
    const { fd, fill } = hostFile(4 * K64);
    fill(0, K64, 1);
    expect(extentAt(fd, K64)).toEqual({ isData: false, end: null });
    expect(extentAt(fd, 8 * K64)).toEqual({ isData: false, end: null });
  });

  it('ends data with the file, in the middle of a block', () => {
    const { fd, fill } = hostFile(0);
    fill(0, 1000, 1);
    expect(extentAt(fd, 512)).toEqual({ isData: true, end: 1000 });
  });

  it('knows nothing of what has no holes, nor without the C library', () => {
    const device = openSync('/dev/null', 'r');
    expect(extentAt(device, 512)).toBeNull();
    closeSync(device);
    const { fd } = hostFile(K64);
    setLibcAvailable(false);
    expect(extentAt(fd, 0)).toBeNull();
  });
});

describe('lengthOf', () => {
  it('is the length to the byte, with and without the C library', () => {
    const { fd } = hostFile(100_001);
    expect(lengthOf(fd)).toBe(100_001);
    setLibcAvailable(false);
    expect(lengthOf(fd)).toBe(100_001);
  });

  it('fails with the errno of the host', () => {
    expect(() => lengthOf(999)).toThrow(HostError);
    expect(() => lengthOf(999)).toThrow('Bad file descriptor');
  });
});
