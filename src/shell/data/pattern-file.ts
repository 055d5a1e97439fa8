/** The data of `write -s`: a file's content, repeated until the buffer is full. */
import { Errno, hostErrno, strerror } from '../../util/errno.ts';
import { FileReader } from '../../util/file-reader.ts';
import type { Lease } from './buffer-pool.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';

/** A buffer of `bytes` bytes with the file's first bytes. Refused if the file cannot be read or is empty. */
export function leaseFromFile(session: SessionState, path: string, bytes: number): Lease {
  session.timeline?.readsFile(path);
  const lease = session.writeBuffers.leaseUnfilled(bytes);
  try {
    const filled = readFile(path, lease.data);
    if (filled === 0) {
      session.output.stderr(`${path}: file is empty\n`);
      throw new CommandFailure(Errno.EINVAL);
    }
    repeat(lease.data, filled);
    return lease;
  } catch (error) {
    lease.release();
    if (error instanceof CommandFailure) throw error;
    session.output.stderr(`${path}: ${strerror(hostErrno(error))}\n`);
    throw new CommandFailure(Errno.EINVAL);
  }
}

/** Reads up to `data.length` bytes; how many there were. */
function readFile(path: string, data: Buffer): number {
  const reader = new FileReader(path);
  try {
    let filled = 0;
    while (filled < data.length) {
      const count = reader.read(data.subarray(filled));
      if (count === 0) break;
      filled += count;
    }
    return filled;
  } finally {
    reader.close();
  }
}

/** Fills the rest of the buffer with its first `length` bytes, over and over. */
function repeat(data: Buffer, length: number): void {
  for (let filled = length; filled < data.length; filled += Math.min(filled, data.length - filled)) {
    data.copy(data, filled, 0, Math.min(filled, data.length - filled));
  }
}
