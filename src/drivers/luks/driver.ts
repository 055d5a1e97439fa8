/** luks: a disk encrypted as LUKS1 has it, behind a header with the key. Found by `probe.ts`. */
import { laterAlgorithms } from '../../block/compat.ts';
import type { Driver } from '../../block/driver.ts';
import { BlockError, withContext } from '../../block/error.ts';
import { MAX_LENGTH, Perm, Req, Role } from '../../block/flags.ts';
import { type BlockNode, type ChildLink, fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import { absorbOptions, inQemuOrder } from '../../block/options/options.ts';
import { driverInfo } from '../../block/request/info.ts';
import { preadv } from '../../block/request/read.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwritev } from '../../block/request/write.ts';
import { passphraseBytes } from '../../block/user-object.ts';
import { CryptoError } from '../../crypto/algorithms.ts';
import { openLuks, type LuksVolume } from '../../crypto/luks.ts';
import { luksInfo } from '../../crypto/luks-info.ts';
import { luksCreateOptions } from '../../crypto/luks-options.ts';
import { SECTOR_BYTES } from '../../crypto/sector-cipher.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';

type LuksNode = BlockNode<LuksVolume>;

/** Encrypted data is written and read in pieces of this length: memory for it is taken beside the request's. */
const PIECE_BYTES = 1 << 20;

/** The driver itself. */
export const luks: Driver<LuksVolume> = {
  formatName: 'luks',
  isFormat: true,
  strongOptions: ['key-secret'],
  createOptions: async () => [{ name: 'size', type: 'size', help: 'the length of the disk' }, ...luksCreateOptions()],
  create: async (...request) => (await import('./create-volume.ts')).createVolume(...request),

  async open(node, options) {
    const file = await openFileChild(node, options, 'file');
    const hasHeaders = node.context.compat.has('detachedHeaders');
    const header = hasHeaders ? await openChild(node, options, 'header', Role.METADATA, { allowNone: true }) : null;
    node.supportedWriteFlags = Req.FUA & file.node.supportedWriteFlags;
    const secret = absorbOptions(options, { 'key-secret': 'string' })['key-secret'];
    if (secret === undefined) throw new BlockError(Errno.EIO, "Parameter 'key-secret' is required for cipher");
    node.state = await run(openVolume(node, header, passphraseBytes(node.context.objects, secret)));
  },

  /** Nothing needs a look: the key stays. */
  async reopenPrepare() {},

  /**
   * WRITE and RESIZE only where a parent has them, and others may have them, too: only a change of the keys writes to
   * the header.
   */
  childPermissions(node, child, role, perm, shared) {
    const own = defaultPermissions(node, child, role, perm, shared);
    const passed = Perm.WRITE | Perm.RESIZE;
    return { perm: (own.perm & ~passed) | (perm & passed), shared: own.shared | (shared & passed) };
  },

  refreshLimits({ limits }) {
    limits.requestAlignment = SECTOR_BYTES;
  },

  getLength(node) {
    const bytes = fileOf(node).node.getLength() - node.state.payloadOffset;
    if (bytes < 0) throw new BlockError(Errno.EIO);
    return bytes;
  },

  preadv: (node, offset, data) => run(readPieces(node, offset, data)),
  pwritev: (node, offset, data, flags) => run(writePieces(node, offset, data, flags)),

  truncate(node, bytes, options) {
    const { payloadOffset } = node.state;
    if (bytes > MAX_LENGTH - payloadOffset) {
      throw new BlockError(Errno.EFBIG, 'The requested file size is too large');
    }
    return truncate(fileOf(node), bytes + payloadOffset, { ...options, flags: 0 });
  },

  getInfo: (node) => ({ clusterBytes: driverInfo(fileOf(node).node).clusterBytes, vmStateOffset: 0 }),
  getSpecificInfo: async ({ state, context }) =>
    inQemuOrder(luksInfo({ ...state, tellsDetached: context.compat.has('detachedHeaders') })),
};

/** `header`: null where it is in front of the data. */
function* openVolume(node: LuksNode, header: ChildLink | null, passphrase: Buffer): Steps<LuksVolume> {
  const file = header ?? fileOf(node);
  try {
    return yield* openLuks(
      {
        read: (offset, data) => withContext('Could not read encryption header', () => preadv(file, offset, data, 0)),
        wait: (begin) => node.loop.parkOutside({ kind: 'key' }, begin),
        isDetached: header !== null,
        later: laterAlgorithms(node.context.compat),
      },
      passphrase,
    );
  } catch (error) {
    if (error instanceof CryptoError) throw new BlockError(Errno.EIO, error.message);
    throw error;
  }
}

function* readPieces(node: LuksNode, offset: number, data: Buffer): Steps<void> {
  const { payloadOffset, sectors } = node.state;
  const file = fileOf(node);
  const encrypted = node.context.allocate(Math.min(PIECE_BYTES, data.length));
  for (let done = 0; done < data.length; done += PIECE_BYTES) {
    const piece = data.subarray(done, done + PIECE_BYTES);
    const source = encrypted.subarray(0, piece.length);
    yield preadv(file, payloadOffset + offset + done, source, 0);
    sectors.decrypt((offset + done) / SECTOR_BYTES, source, piece);
  }
}

function* writePieces(node: LuksNode, offset: number, data: Buffer, flags: number): Steps<void> {
  const { payloadOffset, sectors } = node.state;
  const file = fileOf(node);
  const encrypted = node.context.allocate(Math.min(PIECE_BYTES, data.length));
  for (let done = 0; done < data.length; done += PIECE_BYTES) {
    const piece = data.subarray(done, done + PIECE_BYTES);
    const target = encrypted.subarray(0, piece.length);
    sectors.encrypt((offset + done) / SECTOR_BYTES, piece, target);
    yield pwritev(file, payloadOffset + offset + done, target, flags);
  }
}
