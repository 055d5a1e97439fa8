/** The state of a node over a host file or device, and how a host call becomes a step of a request. */
import { constants } from 'node:fs';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { asBlockError, type BlockError } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import type { FileLocks } from './locks.ts';

/** The state of a node: its descriptor and how it was opened. */
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
  /** The errno of a failed fdatasync; from then on the content of the disk is unknown, and every flush fails. */
  lostWriteErrno: number;
  /** O_DIRECT: buffers must begin at a multiple of this. 1 otherwise. */
  memoryAlignment: number;
}

/** Another descriptor of the same file. */
export interface Replacement {
  readonly fd: number;
  readonly hostFlags: number;
}

/** A node of one of these drivers. */
export type FileNode = BlockNode<FileState>;

/** Whether a descriptor goes past the host's page cache. */
export function isDirect({ hostFlags }: Pick<FileState, 'hostFlags'>): boolean {
  return (hostFlags & constants.O_DIRECT) !== 0;
}

/**
 * Makes a host call for a request: `call` with `first` and `second`. If there are other requests its end is put off as
 * if a thread made the call, so that they run in between as they do in QEMU.
 */
export function hostCall<A, B>(
  node: FileNode,
  call: (node: FileNode, first: A, second: B) => void,
  first: A,
  second: B,
): Pending {
  let failure: BlockError | null = null;
  try {
    call(node, first, second);
  } catch (error) {
    failure = asBlockError(error);
  }
  if (failure !== null) return run(failInTurn(node, failure));
  return node.loop.hostIo();
}

/** `hostCall` for many calls in a row: the steps wait for nothing but a turn of Node now and then. */
export function* hostCalls(node: FileNode, calls: Steps<void>): Steps<void> {
  let failure: BlockError | null = null;
  try {
    yield* calls;
  } catch (error) {
    failure = asBlockError(error);
  }
  yield node.loop.hostIo();
  if (failure !== null) throw failure;
}

function* failInTurn(node: FileNode, failure: BlockError): Steps<never> {
  yield node.loop.hostIo();
  throw failure;
}
