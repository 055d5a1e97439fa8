/** Reads and writes at offsets: short ones, aligned ones, errors. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readRange, writeRange } from '../../src/sys/positional-io.ts';
import { Errno, hostErrno, HostError } from '../../src/util/errno.ts';
import { hostFile } from './host-file.ts';

function errnoOf(body: () => void): number {
  try {
    body();
  } catch (error) {
    return hostErrno(error);
  }
  return 0;
}

describe('readRange', () => {
  it('fills the buffer, or says how much there was before the end', () => {
    const { fd, fill } = hostFile(0);
    fill(0, 1000, 7);
    const data = Buffer.alloc(600);
    expect(readRange(fd, data, 100, false)).toBe(600);
    expect(data.every((byte) => byte === 7)).toBe(true);
    expect(readRange(fd, data, 900, false)).toBe(100);
    expect(readRange(fd, data, 1000, false)).toBe(0);
    expect(readRange(fd, data, 5000, false)).toBe(0);
  });

  it('fails with the errno of the host', () => {
    expect(errnoOf(() => readRange(999, Buffer.alloc(1), 0, false))).toBe(Errno.EBADF);
  });
});

describe('writeRange', () => {
  it('writes at an offset, also behind the end', () => {
    const { fd, path } = hostFile(2);
    writeRange(fd, Buffer.from('ab'), 4);
    expect(readFileSync(path)).toEqual(Buffer.from('\0\0\0\0ab'));
  });

  it('fails with the errno of the host', () => {
    const { reopen } = hostFile(0);
    expect(errnoOf(() => writeRange(reopen('r'), Buffer.alloc(1), 0))).toBe(Errno.EBADF);
  });
});

describe('hostErrno', () => {
  it('is what the host said; anything else is a bug and goes on', () => {
    expect(hostErrno(new HostError(5))).toBe(5);
    expect(hostErrno(Object.assign(new Error('no'), { errno: -28, code: 'ENOSPC' }))).toBe(28);
    expect(() => hostErrno(new TypeError('bug'))).toThrow(TypeError);
  });
});
