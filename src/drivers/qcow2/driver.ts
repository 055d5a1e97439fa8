/** qcow2: copy-on-write disk images with allocation by clusters, snapshots, compression and bitmaps. Found by `probe.ts`. */
import type { Driver } from '../../block/driver.ts';
import { Event } from '../../block/events/events.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { later } from '../../util/answer.ts';
import { closeImage } from './close.ts';
import { writeCompressed } from './data/compressed.ts';
import { discardRange } from './data/discard.ts';
import { writeCachesAndUnlock } from './tables/header-write.ts';
import type { Qcow2Image } from './tables/image.ts';
import { advance, type GuestOffset } from './format/offsets.ts';
import { openImage } from './open.ts';
import { joinOptions, mutableOptions } from './options.ts';
import { readRange } from './data/read.ts';
import { abortReopen, afterReopen, commitReopen, prepareReopen } from './reopen.ts';
import { infoOf, specificInfoOf, statusOf } from './data/status.ts';
import { truncateImage } from './data/truncate.ts';
import { writeRange } from './data/write.ts';
import { writeZeroes } from './data/zero.ts';

/** The driver itself. */
export const qcow2: Driver<Qcow2Image> = {
  formatName: 'qcow2',
  isFormat: true,
  supportsBacking: true,
  mutableOptions,
  strongOptions: ['encrypt.key-secret'],

  open: openImage,
  close: ({ state }) => closeImage(state),
  joinOptions,
  reopenPrepare: prepareReopen,
  reopenCommit: commitReopen,
  reopenAbort: abortReopen,
  afterReopen,
  childPermissions: defaultPermissions,

  refreshLimits({ state, limits }) {
    limits.pwriteZeroesAlignment = state.subclusterBytes;
    limits.pdiscardAlignment = state.clusterBytes;
  },

  preadv: ({ state }, offset, data) => readRange(state, offset as GuestOffset, data),
  pwritev: ({ state }, offset, data) => writeRange(state, offset as GuestOffset, data),
  pwritevCompressed: ({ state }, offset, data) => writeCompressed(state, offset as GuestOffset, data),
  pwriteZeroes: ({ state }, offset, bytes, flags) => writeZeroes(state, offset as GuestOffset, bytes, flags),
  pdiscard: ({ state }, offset, bytes) => discardRange(state, offset as GuestOffset, bytes),

  flushToOs({ state }) {
    const locking = state.lock.lock();
    return locking === undefined ? writeCachesAndUnlock(state) : later(locking, writeCachesAndUnlock, state);
  },

  truncate: ({ state }, bytes, options) => truncateImage(state, bytes, options),
  blockStatus: ({ state }, _wantZero, offset, bytes) => statusOf(state, offset as GuestOffset, bytes),

  async saveVmState({ state }, offset, data) {
    await state.fire(Event.VMSTATE_SAVE);
    await writeRange(state, advance(state.vmStateOffset, offset), data);
  },

  async loadVmState({ state }, offset, data) {
    await state.fire(Event.VMSTATE_LOAD);
    await readRange(state, advance(state.vmStateOffset, offset), data);
  },

  getInfo: ({ state }) => infoOf(state),
  getSpecificInfo: ({ state }) => specificInfoOf(state),
};
