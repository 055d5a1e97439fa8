/** Opening an image: header, tables, options, extensions, children, snapshots, bitmaps; a dirty image is repaired. */
import { BlockError, errorWithErrno } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { Open, Req, Role } from '../../block/flags.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import type { Options } from '../../block/options/options.ts';
import { relaxSubtree } from '../../block/graph/permissions.ts';
import { Errno } from '../../util/errno.ts';
import { loadBitmaps } from './bitmaps/bitmaps.ts';
import { checkImage } from './check/check.ts';
import { DiscardQueue } from './refcounts/discard-queue.ts';
import { readExtensions, unsupportedFeatures } from './tables/extensions.ts';
import { checkRefcountOrder, type Header, MIN_CLUSTER_BITS, parseHeader } from './format/header.ts';
import { HEADER_BYTES } from './probe.ts';
import { updateHeader } from './tables/header-write.ts';
import {
  AUTOCLEAR_KNOWN,
  Compression,
  Incompatible,
  INCOMPATIBLE_KNOWN,
  Qcow2Image,
  type Qcow2Node,
} from './tables/image.ts';
import { explained, readFile } from './tables/io.ts';
import { L1_ENTRY_BYTES, L1Table, MAX_L1_BYTES } from './tables/l1.ts';
import { commitOptions, prepareOptions } from './options.ts';
import { MAX_REFCOUNT_TABLE_BYTES } from './refcounts/grow.ts';
import { RefcountTable } from './tables/refcount-table.ts';
import { refcountWidth } from './format/refcount-width.ts';
import { MAX_SNAPSHOTS, readSnapshots, SNAPSHOT_ENTRY_BYTES } from './snapshot.ts';
import { untilNul } from './format/text.ts';
import { tableProblem } from './format/validate.ts';

const INT_MAX = 0x7fff_ffff;
const MAX_BACKING_NAME_BYTES = 1023;

function refused(message: string, errno: number = Errno.EINVAL): BlockError {
  return new BlockError(errno, message);
}

/** Opens `file` and what the image in it needs; sets `node.state`. */
export async function openImage(node: Qcow2Node, options: Options, flags: number): Promise<void> {
  await openFileChild(node, options, 'file');
  const image = new Qcow2Image(node);
  node.state = image;
  const header = await readHeader(image, flags);
  await readL1(image, header);
  commitOptions(image, await prepareOptions(image, options, flags));
  await readRefcountTable(image, header);
  image.discards = new DiscardQueue(image);

  const { needsUpdate } = await readExtensions(image, header.headerBytes, extensionsEnd(header), false);
  node.backingFormat = image.backingFormat?.toString('latin1') ?? '';
  await openDataFile(image, options);
  await readBackingName(image, header);
  image.snapshotsOffset = header.snapshotsOffset;
  await readSnapshots(image, header.snapshotCount, null);

  const hasUnknownAutoclear = (image.autoclear & ~AUTOCLEAR_KNOWN) !== 0n;
  const updates = (needsUpdate || hasUnknownAutoclear) && image.isWritable;
  if (updates) image.autoclear &= AUTOCLEAR_KNOWN;
  const isHeaderWritten = await loadBitmaps(image);
  if (updates && !isHeaderWritten) await explained(updateHeader(image), 'Could not update qcow2 header');

  node.supportedZeroFlags = image.version >= 3 ? Req.MAY_UNMAP | Req.NO_FALLBACK : 0;
  node.supportedTruncateFlags = Req.ZERO_WRITE;
  if ((flags & Open.CHECK) === 0 && image.isWritable && !image.needsAccurateRefcounts) await repair(image);
}

function extensionsEnd(header: Header): number {
  return header.backingOffset === 0 ? 1 << header.clusterBits : header.backingOffset;
}

async function readHeader(image: Qcow2Image, flags: number): Promise<Header> {
  const data = Buffer.alloc(HEADER_BYTES);
  await explained(readFile(image, 0, data), 'Could not read qcow2 header');
  const header = parseHeader(data);
  image.version = header.version;
  image.clusterBits = header.clusterBits;
  image.clusterBytes = 1 << header.clusterBits;
  image.clusterMask = image.clusterBytes - 1;
  if (header.headerBytes > HEADER_BYTES) {
    image.unknownHeaderFields = Buffer.alloc(header.headerBytes - HEADER_BYTES);
    const read = readFile(image, HEADER_BYTES, image.unknownHeaderFields);
    await explained(read, 'Could not read unknown qcow2 header fields');
  }
  if (header.backingOffset > image.clusterBytes) throw refused('Invalid backing file offset');

  await takeFeatures(image, header, flags);
  setGeometry(image, header);
  checkTables(image, header, flags);
  return header;
}

async function takeFeatures(image: Qcow2Image, header: Header, flags: number): Promise<void> {
  const { incompatible } = header;
  image.incompatible = incompatible;
  image.compatible = header.compatible;
  image.autoclear = header.autoclear;
  image.cryptMethod = header.cryptMethod;
  image.compressionType = header.compressionType;

  const isZlib = header.compressionType === Compression.ZLIB;
  if (!isZlib && header.compressionType !== Compression.ZSTD) {
    throw refused(`qcow2: unknown compression type: ${header.compressionType}`, Errno.ENOTSUP);
  }
  const hasTypeBit = (incompatible & Incompatible.COMPRESSION) !== 0n;
  if (isZlib === hasTypeBit) {
    throw refused(`qcow2: Compression type incompatible feature bit must ${isZlib ? 'not be' : 'be'} set`);
  }
  const unknown = incompatible & ~INCOMPATIBLE_KNOWN;
  if (unknown !== 0n) {
    const names = unsupportedFeatures(await featureTable(image, header), unknown);
    throw refused(`Unsupported qcow2 feature(s): ${names}`, Errno.ENOTSUP);
  }
  const mayRepair = (flags & Open.CHECK) !== 0;
  if ((incompatible & Incompatible.CORRUPT) !== 0n && (flags & Open.READ_WRITE) !== 0 && !mayRepair) {
    throw refused('qcow2: Image is corrupt; cannot be opened read/write', Errno.EACCES);
  }
}

/** Only for a message: what is wrong with the extensions does not matter. */
async function featureTable(image: Qcow2Image, header: Header): Promise<Buffer | null> {
  try {
    return (await readExtensions(image, header.headerBytes, extensionsEnd(header), true)).featureTable;
  } catch (error) {
    if (error instanceof BlockError) return null;
    throw error;
  }
}

function setGeometry(image: Qcow2Image, header: Header): void {
  image.hasSubclusters = (header.incompatible & Incompatible.EXTENDED_L2) !== 0n;
  image.subclustersPerCluster = image.hasSubclusters ? 32 : 1;
  image.subclusterBytes = image.clusterBytes / image.subclustersPerCluster;
  if (image.subclusterBytes < 1 << MIN_CLUSTER_BITS) {
    throw refused(`Unsupported subcluster size: ${image.subclusterBytes}`);
  }
  checkRefcountOrder(header.refcountOrder);
  image.refcountOrder = header.refcountOrder;
  image.refcountWidth = refcountWidth(header.refcountOrder);
  image.refcountBlockEntries = (image.clusterBytes * 8) / (1 << header.refcountOrder);
  image.l2EntryBytes = image.hasSubclusters ? 16 : 8;
  image.l2Entries = image.clusterBytes / image.l2EntryBytes;
  image.sliceEntries = image.l2Entries;
}

function checkTables(image: Qcow2Image, header: Header, flags: number): void {
  const mayRepair = (flags & Open.CHECK) !== 0;
  if (header.refcountTableClusters === 0 && !mayRepair) {
    throw refused('Image does not contain a reference count table');
  }
  const check = (offset: number, count: number, entryBytes: number, maxBytes: number, name: string): void => {
    const problem = tableProblem(image, offset, count, entryBytes, maxBytes, name);
    if (problem !== null) throw problem;
  };
  const { refcountTableOffset, refcountTableClusters, snapshotsOffset, snapshotCount, l1Offset, l1EntryCount } = header;
  check(
    refcountTableOffset,
    refcountTableClusters,
    image.clusterBytes,
    MAX_REFCOUNT_TABLE_BYTES,
    'Reference count table',
  );
  check(snapshotsOffset, snapshotCount, SNAPSHOT_ENTRY_BYTES, SNAPSHOT_ENTRY_BYTES * MAX_SNAPSHOTS, 'Snapshot table');
  check(l1Offset, l1EntryCount, L1_ENTRY_BYTES, MAX_L1_BYTES, 'Active L1 table');

  const neededEntries = Math.ceil(header.lengthBytes / (image.l2Entries * image.clusterBytes));
  if (neededEntries > INT_MAX) throw refused('Image is too big', Errno.EFBIG);
  image.l1VmStateIndex = neededEntries;
  if (l1EntryCount < neededEntries) throw refused('L1 table is too small');
  image.node.totalSectors = Math.floor(header.lengthBytes / 512);
}

async function readL1(image: Qcow2Image, header: Header): Promise<void> {
  const bytes = image.node.context.allocate(header.l1EntryCount * L1_ENTRY_BYTES);
  if (bytes.length > 0) await explained(readFile(image, header.l1Offset, bytes), 'Could not read L1 table');
  image.l1 = new L1Table(header.l1Offset, bytes, image.clusterBytes);
}

async function readRefcountTable(image: Qcow2Image, header: Header): Promise<void> {
  const bytes = image.node.context.allocate(header.refcountTableClusters * image.clusterBytes);
  if (bytes.length > 0) {
    await image.fire(Event.REFTABLE_LOAD);
    const read = readFile(image, header.refcountTableOffset, bytes);
    await explained(read, 'Could not initialize refcount handling');
  }
  image.refcountTable = new RefcountTable(header.refcountTableOffset, bytes, image.clusterBytes);
}

async function openDataFile(image: Qcow2Image, options: Options): Promise<void> {
  const { node } = image;
  let child = await openChild(node, options, 'data-file', Role.DATA, { allowNone: true });
  image.externalDataFile = child;
  if ((image.incompatible & Incompatible.DATA_FILE) === 0n) {
    if (child !== null) throw refused("'data-file' can only be set for images with an external data file");
    if (image.hasRawDataFile) throw refused('data-file-raw requires a data file');
    return;
  }
  if (child === null && image.dataFileName !== null) {
    // As an option the name is that of a plain file: no protocol, no json:{…}. An image must not choose what is opened.
    options.set('data-file.filename', image.dataFileName.toString('utf8'));
    child = await openChild(node, options, 'data-file', Role.DATA);
    image.externalDataFile = child;
  }
  if (child === null) throw refused("'data-file' is required for this image");
  image.hasDataFile = true;
  // There is no guest data in `file`, so it needs less of it.
  image.file.role &= ~Role.DATA;
  relaxSubtree(node);
}

async function readBackingName(image: Qcow2Image, header: Header): Promise<void> {
  if (header.backingOffset === 0) return;
  const bytes = header.backingBytes;
  if (bytes > Math.min(MAX_BACKING_NAME_BYTES, image.clusterBytes - header.backingOffset)) {
    throw refused('Backing file name too long');
  }
  const name = Buffer.alloc(bytes);
  await explained(readFile(image, header.backingOffset, name), 'Could not read backing file name');
  image.backingFile = untilNul(name);
  image.node.backingFilename = image.backingFile.toString('utf8');
  image.node.autoBackingFilename = image.node.backingFilename;
}

/** The image was in use when its refcounts were not kept up to date. */
async function repair(image: Qcow2Image): Promise<void> {
  try {
    const result = await checkImage(image, { fixesLeaks: true, fixesErrors: true });
    if (result.checkErrors > 0) throw new BlockError(Errno.EIO);
  } catch (error) {
    if (error instanceof BlockError) throw errorWithErrno(error.errno, 'Could not repair dirty image');
    throw error;
  }
}
