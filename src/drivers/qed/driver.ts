/** qed: disk images with allocation by clusters, and tables that may lie behind the data. Found by `probe.ts`. */
import type { BlockStatus, Driver, TruncateOptions } from '../../block/driver.ts';
import { BlockError, errnoOf, errorWithErrno, invalidArgument } from '../../block/error.ts';
import { SECTOR_BYTES, Status } from '../../block/flags.ts';
import { alignDown, isAligned } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import { checkImage } from './check.ts';
import { findClusters } from './find-clusters.ts';
import { isImageLength } from './qed-header.ts';
import type { QedImage } from './qed-image.ts';
import { closeImage, openImage } from './open.ts';
import { readRange, Request, writeRange } from './guest-io.ts';
import { writeHeader } from './table-io.ts';

const INT_MAX = 0x7fff_ffff;

/** The driver itself. */
export const qed: Driver<QedImage> = {
  formatName: 'qed',
  isFormat: true,
  supportsBacking: true,

  open: openImage,
  close: ({ state }) => closeImage(state),
  drainBegin: ({ state }) => run(state.needCheck.expire()),

  /** Nothing needs a look: the tables stay. */
  async reopenPrepare() {},

  refreshLimits({ state, limits }) {
    limits.requestAlignment = SECTOR_BYTES;
    limits.pwriteZeroesAlignment = state.clusterBytes;
    limits.maxPwriteZeroes = alignDown(INT_MAX, state.clusterBytes);
  },

  getLength: ({ state }) => Number(state.header.imageBytes),
  getInfo: ({ state }) => ({ clusterBytes: state.clusterBytes, vmStateOffset: 0, isDirty: state.needsCheck }),

  preadv: ({ state }, offset, data) => run(readRange(state, offset, data)),
  pwritev: ({ state }, offset, data) => run(writeRange(state, offset, data, data.length)),

  pwriteZeroes({ state }, offset, bytes) {
    if (!isAligned(offset, state.clusterBytes) || !isAligned(bytes, state.clusterBytes)) {
      throw new BlockError(Errno.ENOTSUP);
    }
    return run(writeRange(state, offset, null, bytes));
  },

  truncate: ({ state }, bytes, options) => run(grow(state, bytes, options)),
  blockStatus: ({ state }, _wantZero, offset, bytes) => run(statusOf(state, offset, bytes)),
  check: ({ state }, { repair }) => run(state.lock.holding(checkImage(state, repair !== 'none'))),
};

function* grow(image: QedImage, bytes: number, { preallocation }: TruncateOptions): Steps<void> {
  const { header } = image;
  if (preallocation !== 'off') {
    throw new BlockError(Errno.ENOTSUP, `Unsupported preallocation mode '${preallocation}'`);
  }
  if (!isImageLength(header, BigInt(bytes))) throw invalidArgument('Invalid image size specified');
  const before = header.imageBytes;
  if (bytes < before) throw new BlockError(Errno.ENOTSUP, 'Shrinking images is currently not supported');
  header.imageBytes = BigInt(bytes);
  try {
    yield writeHeader(image);
  } catch (error) {
    header.imageBytes = before;
    throw errorWithErrno(errnoOf(error), 'Failed to update the image size');
  }
}

function* statusOf(image: QedImage, offset: number, bytes: number): Steps<BlockStatus> {
  const request = new Request();
  try {
    const found = yield* image.lock.holding(findClusters(image, request, offset, bytes));
    if (found.kind === 'allocated') {
      const map = found.offset + image.intoCluster(offset);
      return { flags: Status.DATA | Status.OFFSET_VALID, bytes: found.bytes, map, file: image.file.node };
    }
    return { flags: found.kind === 'zero' ? Status.ZERO : 0, bytes: found.bytes, map: 0, file: null };
  } finally {
    request.release();
  }
}
