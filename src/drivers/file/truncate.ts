/** Making host files longer or shorter, with and without preallocation. */
import { fstatSync, fsyncSync, ftruncateSync } from 'node:fs';
import type { Preallocation, TruncateOptions } from '../../block/driver.ts';
import { BlockError, errorWithErrno, invalidArgument, withContext } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { alignedBuffer, unalignedBuffer } from '../../sys/aligned-memory.ts';
import { Fallocate, fallocate } from '../../sys/fallocate.ts';
import { writeRange } from '../../sys/positional-io.ts';
import { Errno, hostErrno, strerror } from '../../util/errno.ts';
import type { FileNode } from './state.ts';

/** Sets a file's length. Devices keep theirs: a shorter one is accepted unless `exact` is asked for. */
export function truncateHostFile(node: FileNode, bytes: number, { exact, preallocation }: TruncateOptions): void {
  const { fd } = node.state;
  if (fstatSync(fd).isFile()) {
    resizeFile(node, bytes, preallocation);
    return;
  }
  if (preallocation !== 'off') {
    const message = `Preallocation mode '${preallocation}' unsupported for this non-regular file`;
    throw new BlockError(Errno.ENOTSUP, message);
  }
  const length = node.driver.getLength?.(node) ?? 0;
  if (bytes !== length && exact) throw new BlockError(Errno.ENOTSUP, 'Cannot resize device files');
  if (bytes > length) throw invalidArgument('Cannot grow device files');
}

function resizeFile(node: FileNode, bytes: number, preallocation: Preallocation): void {
  const { fd } = node.state;
  const oldBytes = fstatSync(fd).size;
  if (bytes < oldBytes && preallocation !== 'off') {
    throw new BlockError(Errno.ENOTSUP, 'Cannot use preallocation for shrinking files');
  }
  // Node takes no number that large; no file system does, either.
  if (bytes > Number.MAX_SAFE_INTEGER && preallocation !== 'metadata') {
    const what = preallocation === 'falloc' ? 'Could not preallocate new data' : 'Could not resize file';
    throw errorWithErrno(Errno.EFBIG, what);
  }
  switch (preallocation) {
    case 'off':
      withContext('Could not resize file', () => ftruncateSync(fd, bytes));
      if (oldBytes === 0 && bytes > 0) writeFirstBlock(fd, bytes);
      return;
    case 'falloc':
      if (bytes === oldBytes) return;
      restoringLength(node, oldBytes, () => reserve(fd, oldBytes, bytes));
      if (oldBytes === 0) writeFirstBlock(fd, bytes);
      return;
    case 'full':
      restoringLength(node, oldBytes, () => writeZeroes(fd, oldBytes, bytes));
      return;
    case 'metadata':
      throw new BlockError(Errno.ENOTSUP, `Unsupported preallocation mode: ${preallocation}`);
  }
}

/** As posix_fallocate does: where the host cannot reserve, a byte is written to each block that is new. */
function reserve(fd: number, oldBytes: number, bytes: number): void {
  const errno = fallocate(fd, Fallocate.RESERVE, oldBytes, bytes - oldBytes);
  if (errno === Errno.ENOTSUP) {
    withContext('Could not preallocate new data', () => touchBlocks(fd, oldBytes, bytes));
  } else if (errno !== 0) {
    throw errorWithErrno(errno, 'Could not preallocate new data');
  }
}

function touchBlocks(fd: number, oldBytes: number, bytes: number): void {
  const { blksize } = fstatSync(fd);
  const zero = Buffer.alloc(1);
  for (let end = bytes; end > oldBytes; end -= blksize) writeRange(fd, zero, end - 1);
}

function writeZeroes(fd: number, oldBytes: number, bytes: number): void {
  withContext('Could not resize file', () => ftruncateSync(fd, bytes));
  // As qemu-io's: a host that asks for alignment refuses it with O_DIRECT (observed with qemu-io 7.2.22).
  const zeroes = unalignedBuffer(65536);
  withContext('Could not write zeros for preallocation', () => {
    for (let offset = oldBytes; offset < bytes; offset += zeroes.length) {
      writeRange(fd, zeroes.subarray(0, Math.min(zeroes.length, bytes - offset)), offset);
    }
  });
  withContext('Could not flush file to disk', () => fsyncSync(fd));
}

/**
 * Reads of a hole succeed at any alignment on some file systems; a first block that exists lets a later open find out
 * what O_DIRECT needs. It only helps: failures do not count.
 */
function writeFirstBlock(fd: number, bytes: number): void {
  try {
    writeRange(fd, alignedBuffer(bytes < 4096 ? SECTOR_BYTES : 4096), 0);
  } catch (error) {
    hostErrno(error);
  }
}

function restoringLength(node: FileNode, oldBytes: number, body: () => void): void {
  try {
    body();
  } catch (error) {
    try {
      ftruncateSync(node.state.fd, oldBytes);
    } catch (second) {
      node.context.report(`Failed to restore old file length: ${strerror(hostErrno(second))}`);
    }
    throw error;
  }
}
