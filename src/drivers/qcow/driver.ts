/** qcow: the first version of QEMU's copy-on-write images. Found by `probe.ts`. */
import type { BlockStatus, Driver } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { SECTOR_BYTES, Status } from '../../block/flags.ts';
import { truncate } from '../../block/request/truncate.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import { findCluster, writeSync } from './find-cluster.ts';
import { readRange, writeCompressed, writeRange } from './guest-data.ts';
import { openImage } from './open.ts';
import type { QcowImage } from './qcow-image.ts';

/** A table that is made empty is written in pieces of this length. */
const PIECE_BYTES = 1 << 26;

/** The driver itself. */
export const qcow: Driver<QcowImage> = {
  formatName: 'qcow',
  isFormat: true,
  supportsBacking: true,
  strongOptions: ['encrypt.key-secret'],

  open: openImage,

  /** Nothing needs a look: the tables stay. */
  async reopenPrepare() {},

  /** Encrypted sectors are whole; QEMU asks for that of all images. */
  refreshLimits({ limits }) {
    limits.requestAlignment = SECTOR_BYTES;
  },

  getInfo: ({ state }) => ({ clusterBytes: state.clusterBytes, vmStateOffset: 0 }),

  preadv: ({ state }, offset, data) => run(readRange(state, offset, data)),
  pwritev: ({ state }, offset, data) => run(writeRange(state, offset, data)),
  pwritevCompressed: ({ state }, offset, data) => run(writeCompressed(state, offset, data)),
  makeEmpty: ({ state }) => run(emptyImage(state)),
  blockStatus: ({ state }, _wantZero, offset, bytes) => run(statusOf(state, offset, bytes)),
};

function* statusOf(image: QcowImage, offset: number, bytes: number): Steps<BlockStatus> {
  const { clusterBytes, file, cipher } = image;
  const place = yield* image.lock.holding(findCluster(image, offset, { kind: 'read' }));
  const into = offset % clusterBytes;
  if (place.kind === 'none') return { flags: 0, bytes: Math.min(bytes, gapAfter(image, offset)), map: 0, file: null };
  const status = { bytes: Math.min(bytes, clusterBytes - into), map: 0, file: null };
  if (place.kind === 'compressed' || cipher !== null) return { ...status, flags: Status.DATA };
  const within = place.offset % clusterBytes;
  // Bit by bit: a cluster that does not begin at a boundary is damaged.
  const map = place.offset - within + (within | into);
  return { ...status, flags: Status.DATA | Status.OFFSET_VALID, map, file: file.node };
}

/**
 * The bytes from a cluster without a place up to the next table. QEMU goes on by clusters; a disk of terabytes would
 * take hours so.
 */
function gapAfter({ l1, l2Reach, clusterBytes }: QcowImage, offset: number): number {
  const index = Math.floor(offset / l2Reach);
  const end = l1.nextUsed(index);
  return end === index ? clusterBytes - (offset % clusterBytes) : end * l2Reach - offset;
}

function* emptyImage(image: QcowImage): Steps<void> {
  const { l1, l2, file } = image;
  l1.clear();
  try {
    for (let done = 0; done < l1.length; done += PIECE_BYTES) {
      yield* writeSync(image, l1.offset + done, file.node.context.allocate(Math.min(PIECE_BYTES, l1.length - done)));
    }
  } catch (error) {
    // QEMU returns -1, which is taken for this.
    throw error instanceof BlockError ? new BlockError(Errno.EPERM) : error;
  }
  yield truncate(file, l1.offset + l1.length);
  l2.clear();
}
