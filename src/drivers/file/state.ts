/** What a node over a host file or device keeps, and how a host call becomes a step of a request. */
import { constants } from 'node:fs';
import type { Pending } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import type { BlockNode } from '../../block/node.ts';
import { hostErrno } from '../../sys/host-error.ts';
import type { FileLocks } from './locks.ts';

export interface FileState {
  fd: number;
  /** Flags of open(2) that `fd` was opened with: access mode and O_DIRECT, and `fixedHostFlags`. */
  hostFlags: number;
  /** Flags of open(2) that this kind of file always has. */
  readonly fixedHostFlags: number;
  readonly isDevice: boolean;
  readonly locks: FileLocks | null;
  /** Flags of `Open` that a reopen is about to bring; null if none is under way. */
  reopenFlags: number | null;
  /** A descriptor that is to take the place of `fd` when the permissions are set. */
  pending: Replacement | null;

  /** Cleared when the host says that it cannot. */
  canDiscard: boolean;
  canZeroRange: boolean;
  canReserve: boolean;
  /** The errno of a failed fdatasync; from then on nobody knows what is on the disk, and every flush fails. */
  lostWriteErrno: number;
  /** O_DIRECT: buffers must begin at a multiple of this. 1 otherwise. */
  memoryAlignment: number;
}

/** Another descriptor of the same file. */
export interface Replacement {
  readonly fd: number;
  readonly hostFlags: number;
}

export type FileNode = BlockNode<FileState>;

/** Whether a descriptor goes past the host's page cache. */
export function isDirect({ hostFlags }: Pick<FileState, 'hostFlags'>): boolean {
  return (hostFlags & constants.O_DIRECT) !== 0;
}

/**
 * Makes a host call for a request. It is made at once; if there are other requests, its end is put off as if a thread
 * made it, so that they run in between as they do in QEMU.
 */
export function hostCall(node: FileNode, call: () => void): Pending {
  if (!node.loop.alone) return hostCallInTurn(node, call);
  try {
    call();
  } catch (error) {
    throw asBlockError(error);
  }
  return undefined;
}

async function hostCallInTurn(node: FileNode, call: () => void): Promise<void> {
  let failure: BlockError | null = null;
  try {
    call();
  } catch (error) {
    failure = asBlockError(error);
  }
  await node.loop.hostIo();
  if (failure !== null) throw failure;
}

/** As `hostCall`, for calls that return 0 or a positive errno. */
export function hostResult(node: FileNode, call: () => number): Pending {
  return hostCall(node, () => {
    const errno = call();
    if (errno !== 0) throw new BlockError(errno);
  });
}

/** What a host call threw, as an error of the block layer. */
export function asBlockError(caught: unknown): BlockError {
  return caught instanceof BlockError ? caught : new BlockError(hostErrno(caught));
}
