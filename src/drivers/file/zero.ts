/** Zeroing and discarding ranges of host files and devices, with whatever the host offers for it. */
import { Req } from '../../block/flags.ts';
import { discardDeviceRange, zeroDeviceRange } from '../../sys/block-device.ts';
import { Fallocate, fallocate } from '../../sys/fallocate.ts';
import { Errno } from '../../util/errno.ts';
import { type FileNode, hostCall, hostCalls } from './state.ts';
import { BlockError } from '../../block/error.ts';
import { alignUp } from '../../util/align.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';

const PIECE_BYTES = 64 << 20;
const MAX_PIECES = 4096;

/** A range of a file, in bytes. */
interface FileRange {
  readonly offset: number;
  readonly bytes: number;
}

/** Makes a range read as zeroes. Throws what the host says, ENOTSUP if it has no way but writing them. */
export function zeroHostRange(node: FileNode, range: FileRange, flags: number): Pending {
  if (range.bytes <= PIECE_BYTES) return hostCall(node, zero, range, flags);
  return run(
    hostCalls(
      node,
      inPieces(node, range, (piece) => zero(node, piece, flags)),
    ),
  );
}

/** Gives a range back to the host. Throws what the host says; ENOTSUP if it cannot, and it is not asked again. */
export function discardHostRange(node: FileNode, range: FileRange): Pending {
  if (range.bytes <= PIECE_BYTES) return hostCall(node, discard, range, undefined);
  return run(
    hostCalls(
      node,
      inPieces(node, range, (piece) => discard(node, piece)),
    ),
  );
}

function* inPieces(node: FileNode, range: FileRange, call: (piece: FileRange) => void): Steps<void> {
  for (const piece of pieces(range)) {
    call(piece);
    yield node.loop.breathe();
  }
}

/** Not so long that the host takes seconds for one, and not more than some thousand. */
function* pieces({ offset, bytes }: FileRange): Generator<FileRange> {
  const pieceBytes = Math.max(PIECE_BYTES, alignUp(Math.ceil(bytes / MAX_PIECES), PIECE_BYTES));
  for (let done = 0; done < bytes; done += pieceBytes) {
    yield { offset: offset + done, bytes: Math.min(pieceBytes, bytes - done) };
  }
}

function throwErrno(errno: number): void {
  if (errno !== 0) throw new BlockError(errno);
}

function zero(node: FileNode, { offset, bytes }: FileRange, flags: number): void {
  const { state } = node;
  if ((flags & Req.MAY_UNMAP) !== 0) {
    const errno = fallocate(state.fd, Fallocate.PUNCH_HOLE, offset, bytes);
    if (errno === 0) return;
    const mayTryOn: readonly number[] = [Errno.ENOTSUP, Errno.EINVAL, Errno.EBUSY];
    if (!mayTryOn.includes(errno)) throw new BlockError(errno);
  }
  throwErrno(state.isDevice ? zeroDevice(node, offset, bytes, flags) : zeroFile(node, offset, bytes));
}

function zeroFile(node: FileNode, offset: number, bytes: number): number {
  const { state } = node;
  if (state.canZeroRange) {
    const errno = fallocate(state.fd, Fallocate.ZERO_RANGE, offset, bytes);
    if (errno === Errno.ENOTSUP) state.canZeroRange = false;
    // Some file systems refuse ranges that are not aligned with EINVAL; the other ways may still do.
    else if (errno !== Errno.EINVAL) return errno;
  }
  // Behind the end there is nothing to be zeroed, only a file to be made longer.
  if (state.canReserve && offset >= node.getLength()) {
    const errno = fallocate(state.fd, Fallocate.RESERVE, offset, bytes);
    if (errno !== Errno.ENOTSUP) return errno;
    state.canReserve = false;
  }
  if (state.canDiscard && state.canReserve) {
    const errno = fallocate(state.fd, Fallocate.PUNCH_HOLE, offset, bytes);
    if (errno === 0) {
      const reserved = fallocate(state.fd, Fallocate.RESERVE, offset, bytes);
      if (reserved !== Errno.ENOTSUP) return reserved;
      state.canReserve = false;
    } else if (errno === Errno.ENOTSUP) {
      state.canDiscard = false;
    } else if (errno === Errno.EINVAL) {
      warnOfMisbehaviour(node);
    } else {
      return errno;
    }
  }
  return Errno.ENOTSUP;
}

function warnOfMisbehaviour(node: FileNode): void {
  node.context.reportOnce(
    'warning: Your file system is misbehaving: fallocate(FALLOC_FL_PUNCH_HOLE) returned EINVAL. ' +
      'Please report this bug to your file system vendor.',
  );
}

/** The kernel itself may write zeroes for this call, which is what NO_FALLBACK excludes. */
function zeroDevice(node: FileNode, offset: number, bytes: number, flags: number): number {
  const { state } = node;
  if (!state.canZeroRange || (flags & Req.NO_FALLBACK) !== 0) return Errno.ENOTSUP;
  const errno = zeroDeviceRange(state.fd, offset, bytes);
  if (errno === Errno.ENOTSUP) state.canZeroRange = false;
  return errno;
}

function discard({ state }: FileNode, { offset, bytes }: FileRange): void {
  if (!state.canDiscard) throw new BlockError(Errno.ENOTSUP);
  const errno = state.isDevice
    ? discardDeviceRange(state.fd, offset, bytes)
    : fallocate(state.fd, Fallocate.PUNCH_HOLE, offset, bytes);
  if (errno === Errno.ENOTSUP) state.canDiscard = false;
  throwErrno(errno);
}
