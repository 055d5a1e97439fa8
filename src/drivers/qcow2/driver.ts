/**
 * qcow2: copy-on-write disk images with allocation by clusters, snapshots, compression and bitmaps. Found by
 * `probe.ts`.
 */
import type { Driver } from '../../block/driver.ts';
import { Event } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { run, type Steps } from '../../util/steps.ts';
import { discardRange, emptyImage } from './data/discard.ts';
import { writeCaches } from './tables/header-write.ts';
import type { Qcow2Image } from './tables/image.ts';
import { snapshotInfo } from './format/snapshot-entry.ts';
import { advance, type GuestOffset } from './format/offsets.ts';
import { openImage } from './open.ts';
import { joinOptions, mutableOptions } from './tables/options.ts';
import { readRange } from './data/read.ts';
import { abortReopen, afterReopen, closeImage, commitReopen, prepareReopen } from './reopen.ts';
import { findBitmap, infoOf, specificInfoOf, statusOf } from './data/status.ts';
import { truncateImage } from './data/truncate.ts';
import { writeRange } from './data/write.ts';
import { writeCompressed } from './data/write-compressed.ts';
import { writeZeroes } from './data/zero.ts';

/** The driver itself. */
export const qcow2: Driver<Qcow2Image> = {
  formatName: 'qcow2',
  isFormat: true,
  supportsBacking: true,
  mutableOptions,
  strongOptions: ['encrypt.key-secret'],

  createOptions: async () => (await import('./create/create-options.ts')).qcow2CreateOptions,
  create: async (...request) => (await import('./create/create-image.ts')).createQcow2(...request),

  snapshots: {
    list: ({ state }) => state.snapshots.map(snapshotInfo),
    create: async ({ state }, snapshot) => run((await snapshotActions()).createSnapshot(state, snapshot)),
    apply: async ({ state }, which) => run((await snapshotActions()).applySnapshot(state, which)),
    delete: async ({ state }, name) => run((await snapshotActions()).deleteSnapshot(state, name)),
  },

  open: openImage,
  close: ({ state }) => closeImage(state),
  joinOptions,
  reopenPrepare: prepareReopen,
  reopenCommit: commitReopen,
  reopenAbort: abortReopen,
  afterReopen,
  childPermissions: defaultPermissions,

  refreshLimits({ state, limits }) {
    if (state.encryption !== null) limits.requestAlignment = SECTOR_BYTES;
    limits.pwriteZeroesAlignment = state.subclusterBytes;
    limits.pdiscardAlignment = state.clusterBytes;
  },

  preadv: ({ state }, offset, data) => readRange(state, offset as GuestOffset, data),
  pwritev: ({ state }, offset, data) => writeRange(state, offset as GuestOffset, data),
  pwritevCompressed: ({ state }, offset, data) => run(writeCompressed(state, offset as GuestOffset, data)),
  pwriteZeroes: ({ state }, offset, bytes, flags) => run(writeZeroes(state, offset as GuestOffset, bytes, flags)),
  pdiscard: ({ state }, offset, bytes) => run(discardRange(state, offset as GuestOffset, bytes)),

  flushToOs: ({ state }) => state.lock.hold(() => writeCaches(state)),

  makeEmpty: ({ state }) => run(emptyImage(state)),
  truncate: ({ state }, bytes, options) => run(truncateImage(state, bytes, options)),
  blockStatus: ({ state }, _wantZero, offset, bytes) => statusOf(state, offset as GuestOffset, bytes),

  saveVmState: ({ state }, offset, data) => run(saveVmState(state, offset, data)),
  loadVmState: ({ state }, offset, data) => run(loadVmState(state, offset, data)),

  async check({ state }, { repair }) {
    state.checkUsable();
    const { checkImage } = await import('./check/check.ts');
    return run(checkImage(state, repair));
  },
  dirtyBitmap: ({ state }, name) => findBitmap(state, name),
  inspector: async ({ state }) => (await import('./inspect/inspector.ts')).inspectorOf(state),

  getInfo: ({ state }) => infoOf(state),
  getSpecificInfo: ({ state }) => specificInfoOf(state),
};

const snapshotActions = () => import('./snapshots/snapshot-actions.ts');

function* saveVmState(image: Qcow2Image, offset: number, data: Buffer): Steps<void> {
  yield image.fire(Event.VMSTATE_SAVE);
  yield writeRange(image, advance(image.vmStateOffset, offset), data);
}

function* loadVmState(image: Qcow2Image, offset: number, data: Buffer): Steps<void> {
  yield image.fire(Event.VMSTATE_LOAD);
  yield readRange(image, advance(image.vmStateOffset, offset), data);
}
