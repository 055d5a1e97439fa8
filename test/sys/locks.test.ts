/** Locks on byte ranges of open file descriptions. */
import { closeSync, openSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { setLibcAvailable } from '../../src/sys/libc.ts';
import { hasFileLocks, lockByte, lockConflict, unlockByte } from '../../src/sys/locks.ts';
import { Errno } from '../../src/util/errno.ts';
import { hostFile } from './host-file.ts';

afterEach(() => setLibcAvailable(true));

describe('locks on bytes', () => {
  it('are seen through every other descriptor of the file, not through their own', () => {
    const { fd, reopen } = hostFile(0);
    const other = reopen();
    expect(lockByte(fd, 100)).toBe(0);
    expect(lockConflict(other, 100)).toBe(Errno.EAGAIN);
    expect(lockConflict(other, 101)).toBe(0);
    expect(lockConflict(other, 99)).toBe(0);
    expect(lockConflict(fd, 100)).toBe(0);
  });

  it('are shared: many may have the same', () => {
    const { fd, reopen } = hostFile(0);
    const other = reopen('r');
    expect(lockByte(fd, 100)).toBe(0);
    expect(lockByte(other, 100)).toBe(0);
    expect(unlockByte(fd, 100)).toBe(0);
    expect(lockConflict(fd, 100)).toBe(Errno.EAGAIN);
    expect(unlockByte(other, 100)).toBe(0);
    expect(lockConflict(fd, 100)).toBe(0);
  });

  it('belong to the descriptor: closing another one of the same file leaves them', () => {
    const file = hostFile(0);
    lockByte(file.fd, 200);
    closeSync(openSync(file.path, 'r+'));
    expect(lockConflict(file.reopen(), 200)).toBe(Errno.EAGAIN);
  });

  it('fail with the errno of the host', () => {
    expect(lockByte(999, 100)).toBe(Errno.EBADF);
    expect(lockConflict(999, 100)).toBe(Errno.EBADF);
  });

  it('are not there without the C library', () => {
    const { fd } = hostFile(0);
    expect(hasFileLocks(fd)).toBe(true);
    setLibcAvailable(false);
    expect(hasFileLocks(fd)).toBe(false);
    expect(lockByte(fd, 100)).toBe(Errno.ENOSYS);
    setLibcAvailable(true);
    expect(hasFileLocks(fd)).toBe(true);
  });
});
