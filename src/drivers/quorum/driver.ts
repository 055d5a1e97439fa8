/** quorum: a disk that is kept in several copies; of what they say the majority counts. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import type { BlockStatus } from '../../block/driver.ts';
import { Perm, Req, Status } from '../../block/flags.ts';
import { sideBySide } from '../../block/loop/side-by-side.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { blockStatusAbove, type ChainStatus } from '../../block/request/status.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import type { Driver } from '../../block/driver.ts';
import type { ChildLink } from '../../block/graph/node.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { openQuorum, type QuorumNode, type QuorumState } from './open.ts';
import { readByVote } from './vote.ts';
import { checkThreshold } from './ballot.ts';

const PASSED_ON = Perm.CONSISTENT_READ | Perm.WRITE | Perm.RESIZE;

/** The driver itself. */
export const quorum: Driver<QuorumState> = {
  formatName: 'quorum',
  strongOptions: ['vote-threshold', 'blkverify', 'rewrite-corrupted', 'read-pattern'],

  open: openQuorum,

  folder() {
    throw invalidArgument('Cannot generate a base directory for quorum nodes');
  },

  /** Others may neither make the copies differ nor resize them. */
  childPermissions({ state }, _child, _role, perm, shared) {
    const rewrites = state.rewritesCorrupted ? Perm.WRITE : 0;
    const kept = shared & (Perm.CONSISTENT_READ | Perm.WRITE_UNCHANGED);
    return { perm: (perm & PASSED_ON) | rewrites, shared: kept | (Perm.ALL & ~PASSED_ON) };
  },

  /** EIO if the copies are not equally long. */
  getLength({ state }) {
    const [first = 0, ...others] = state.copies.map(({ node }) => node.getLength());
    if (others.some((bytes) => bytes !== first)) throw new BlockError(Errno.EIO);
    return first;
  },

  preadv(node, offset, data, flags) {
    return run(
      node.state.readPattern === 'fifo' ? readFirst(node, offset, data) : readByVote(node, offset, data, flags),
    );
  },

  pwritev: (node, offset, data, flags) => run(writeAll(node, (copy) => pwritev(copy, offset, data, flags))),

  pwriteZeroes(node, offset, bytes, flags) {
    return run(writeAll(node, (copy) => pwriteZeroes(copy, offset, bytes, flags | Req.ZERO_WRITE)));
  },

  flush: (node) => run(flushAll(node)),
  blockStatus: (node, wantZero, offset, bytes) => run(statusOfAll(node, wantZero, offset, bytes)),
};

/** Reads from the first copy that can be read. */
function* readFirst({ state }: QuorumNode, offset: number, data: Buffer): Steps<void> {
  const last = state.copies.length - 1;
  for (const [index, copy] of state.copies.entries()) {
    try {
      yield preadv(copy, offset, data, 0);
      return;
    } catch (error) {
      if (!(error instanceof BlockError) || index === last) throw error;
    }
  }
}

/** Writes to all copies at the same time. */
function* writeAll(node: QuorumNode, request: (copy: ChildLink) => Pending): Steps<void> {
  const errnos = yield* sideBySide(
    node.loop,
    node.state.copies.map((copy) => () => request(copy)),
  );
  checkThreshold(errnos, node.state.threshold);
}

/** One after the other; those before the threshold is missed do not matter. */
function* flushAll({ state }: QuorumNode): Steps<void> {
  const errnos: number[] = [];
  for (const copy of state.copies) {
    try {
      yield flush(copy.node);
      errnos.push(0);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      errnos.push(error.errno);
    }
  }
  checkThreshold(errnos, state.threshold);
}

/** Zeroes where all copies have them; data as far as any of them has. */
function* statusOfAll({ state }: QuorumNode, wantZero: boolean, offset: number, bytes: number): Steps<BlockStatus> {
  let zeroBytes = bytes;
  let dataBytes = 0;
  for (const { node } of state.copies) {
    let status: ChainStatus;
    try {
      status = yield blockStatusAbove(node, { base: null, includeBase: false, wantZero }, offset, bytes);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      dataBytes = bytes;
      break;
    }
    if ((status.flags & Status.ZERO) !== 0) zeroBytes = Math.min(zeroBytes, status.bytes);
    else dataBytes = Math.max(dataBytes, status.bytes);
  }
  const place = { map: 0, file: null };
  if (dataBytes > 0) return { ...place, flags: Status.DATA, bytes: dataBytes };
  return { ...place, flags: Status.ZERO, bytes: zeroBytes };
}
