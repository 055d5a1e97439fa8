/** O_DIRECT: what alignment a file asks of requests and of buffers, found by trying. */
import { constants, readSync, statfsSync } from 'node:fs';
import { invalidArgument } from '../../block/error.ts';
import { alignedBuffer } from '../../sys/aligned-memory.ts';
import { directIoAlignment } from '../../sys/block-device.ts';
import { Errno, hostErrno } from '../../util/errno.ts';

/** Alignments in bytes. */
interface DirectIoNeeds {
  readonly request: number;
  readonly memory: number;
}

const CANDIDATES = [1, 512, 1024, 2048, 4096];
const SAFE_ALIGNMENT = 4096;
const NFS_SUPER_MAGIC = 0x6969;

/** Alignments that a descriptor needs, in bytes: 1 and 1 without O_DIRECT. EINVAL if no alignment works. */
export function directIoNeeds(fd: number, hostFlags: number): DirectIoNeeds {
  const takesBytes = (hostFlags & constants.O_DIRECT) === 0 || isOnNfs(fd);
  if (takesBytes) return { request: 1, memory: 1 };

  const request = directIoAlignment(fd) || firstThatReads(fd, (align) => alignedBuffer(align), SAFE_ALIGNMENT);
  const memory = firstThatReads(
    fd,
    (align) => alignedBuffer(2 * SAFE_ALIGNMENT).subarray(align, align + SAFE_ALIGNMENT),
    request,
  );
  if (request === 0 || memory === 0) {
    throw invalidArgument('Could not find working O_DIRECT alignment\nTry cache.direct=off');
  }
  return { request, memory };
}

/** NFS takes O_DIRECT at any byte; a probe could not tell that from a failed one. */
function isOnNfs(fd: number): boolean {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type === NFS_SUPER_MAGIC;
  } catch {
    return false;
  }
}

/**
 * The first candidate that the host reads with; 0 if there is none. That a single byte works means that the probe told
 * nothing (a hole, an empty file): `fallback` then.
 */
function firstThatReads(fd: number, bufferFor: (align: number) => Buffer, fallback: number): number {
  const align = CANDIDATES.find((candidate) => isAccepted(fd, bufferFor(candidate))) ?? 0;
  return align === 1 ? fallback : align;
}

/** EINVAL says that it is misaligned; every other error is left to the caller. */
function isAccepted(fd: number, buffer: Buffer): boolean {
  try {
    readSync(fd, buffer, 0, buffer.length, 0);
    return true;
  } catch (error) {
    return hostErrno(error) !== Errno.EINVAL;
  }
}
