/** Opening an image: header, tables, options, extensions, children, snapshots, bitmaps; a dirty image is repaired. */
import { debugNode } from '../../block/debug/port.ts';
import { BlockError, errorWithErrno, invalidArgument, stepsWithContext, withContext } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { Open, Req, Role } from '../../block/flags.ts';
import { relaxSubtree } from '../../block/graph/permissions.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import { readAnywhere } from '../../block/request/read.ts';
import type { Options } from '../../block/options/options.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import { dataFirst } from './data/write.ts';
import { AUTOCLEAR_KNOWN, Compression, CryptMethod, Incompatible, INCOMPATIBLE_KNOWN } from './format/features.ts';
import { checkRefcountOrder, type Header, MIN_CLUSTER_BITS, parseHeader } from './format/header.ts';
import { HEADER_BYTES, L1_ENTRY_BYTES, MAX_L1_BYTES, MAX_REFCOUNT_TABLE_BYTES } from './format/header-fields.ts';
import { refcountWidth } from './format/refcount-width.ts';
import { MAX_SNAPSHOTS, SNAPSHOT_ENTRY_BYTES } from './format/snapshot-entry.ts';
import { tableProblem, untilNul } from './format/validate.ts';
import { DiscardQueue } from './tables/discard-queue.ts';
import { readExtensions, unsupportedFeatures } from './tables/extensions.ts';
import { updateHeader } from './tables/header-write.ts';
import { Qcow2Image, type Qcow2Node } from './tables/image.ts';
import { readFile } from './tables/io.ts';
import { L1Table } from './tables/l1.ts';
import { commitOptions, prepareOptions } from './tables/options.ts';
import { RefcountTable } from './tables/refcount-table.ts';
import { readSnapshots } from './tables/snapshot-table.ts';

const INT_MAX = 0x7fff_ffff;
const MAX_BACKING_NAME_BYTES = 1023;

/** Opens `file` and the image in it, with its other children; sets `node.state`. */
export async function openImage(node: Qcow2Node, options: Options, flags: number): Promise<void> {
  await openFileChild(node, options, 'file');
  const header = await readHeader(node);
  const image = new Qcow2Image(node, header);
  node.state = image;
  image.ordering = dataFirst;
  image.discards = new DiscardQueue(image);
  await readUnknownFields(image, header);
  await checkFeatures(image, header, flags);
  checkSizes(image, header);
  checkTables(image, header, flags);
  await readL1(image, header);
  commitOptions(image, await run(prepareOptions(image, options, flags, 'opening')));
  await readRefcountTable(image, header);

  // Without data no key is needed.
  const isLocked = (flags & Open.NO_IO) !== 0;
  const encryption = image.cryptMethod === CryptMethod.NONE || isLocked ? null : await import('./open-encryption.ts');
  const openHeader = encryption?.headerOpener(image);
  const { needsUpdate } = await run(
    readExtensions(image, header.headerBytes, extensionsEnd(header), { wantsFeatures: false, openHeader }),
  );
  if (image.cryptMethod === CryptMethod.AES) image.encryption = encryption?.openAes(image) ?? null;
  if (encryption !== null && image.encryption === null) {
    throw invalidArgument(`Missing CRYPTO header for crypt method ${image.cryptMethod}`);
  }
  node.backingFormat = image.backingFormat?.toString('latin1') ?? '';
  await openDataFile(image, options);
  await readBackingName(image, header);
  await watchHazards(image);
  // A check reads the snapshots itself: a table that is broken must not keep it from being opened.
  if ((flags & Open.CHECK) === 0) {
    image.snapshotsOffset = header.snapshotsOffset;
    await run(readSnapshots(image, header.snapshotCount, null));
  }

  const hasUnknownAutoclear = (image.autoclear & ~AUTOCLEAR_KNOWN) !== 0n;
  const updates = (needsUpdate || hasUnknownAutoclear) && image.isWritable;
  if (updates) image.autoclear &= AUTOCLEAR_KNOWN;
  const bitmaps = image.bitmapCount === 0 ? null : await import('./bitmaps/bitmaps.ts');
  const isHeaderWritten = bitmaps !== null && (await run(bitmaps.loadBitmaps(image)));
  if (updates && !isHeaderWritten) {
    await run(stepsWithContext('Could not update qcow2 header', updateHeader(image)));
  }

  node.supportedZeroFlags = image.version >= 3 ? Req.MAY_UNMAP | Req.NO_FALLBACK : 0;
  node.supportedTruncateFlags = Req.ZERO_WRITE;
  if ((flags & Open.CHECK) === 0 && image.isWritable && !image.needsAccurateRefcounts) await repair(image);
}

function extensionsEnd(header: Header): number {
  return header.backingOffset === 0 ? 1 << header.clusterBits : header.backingOffset;
}

async function readHeader({ file }: Qcow2Node): Promise<Header> {
  assert(file !== null, 'a qcow2 node has a file');
  const data = Buffer.alloc(HEADER_BYTES);
  await withContext('Could not read qcow2 header', () => readAnywhere(file, 0, data));
  return parseHeader(data);
}

async function readUnknownFields(image: Qcow2Image, header: Header): Promise<void> {
  if (header.headerBytes > HEADER_BYTES) {
    const fields = Buffer.alloc(header.headerBytes - HEADER_BYTES);
    image.unknownHeaderFields = fields;
    await withContext('Could not read unknown qcow2 header fields', () => readFile(image, HEADER_BYTES, fields));
  }
  if (header.backingOffset > image.clusterBytes) throw invalidArgument('Invalid backing file offset');
}

async function checkFeatures(image: Qcow2Image, header: Header, flags: number): Promise<void> {
  const { incompatible, compressionType } = header;
  const isZlib = compressionType === Compression.ZLIB;
  if (!isZlib && compressionType !== Compression.ZSTD) {
    throw new BlockError(Errno.ENOTSUP, `qcow2: unknown compression type: ${compressionType}`);
  }
  const hasTypeBit = (incompatible & Incompatible.COMPRESSION) !== 0n;
  if (isZlib === hasTypeBit) {
    throw invalidArgument(`qcow2: Compression type incompatible feature bit must ${isZlib ? 'not be' : 'be'} set`);
  }
  const unknown = incompatible & ~INCOMPATIBLE_KNOWN;
  if (unknown !== 0n) {
    const names = unsupportedFeatures(await featureTable(image, header), unknown);
    throw new BlockError(Errno.ENOTSUP, `Unsupported qcow2 feature(s): ${names}`);
  }
  const mayRepair = (flags & Open.CHECK) !== 0;
  if ((incompatible & Incompatible.CORRUPT) !== 0n && (flags & Open.READ_WRITE) !== 0 && !mayRepair) {
    throw new BlockError(Errno.EACCES, 'qcow2: Image is corrupt; cannot be opened read/write');
  }
}

/** The image's own names of features, for a message: errors in the extensions do not matter. */
async function featureTable(image: Qcow2Image, header: Header): Promise<Buffer | null> {
  try {
    const read = readExtensions(image, header.headerBytes, extensionsEnd(header), { wantsFeatures: true });
    return (await run(read)).featureTable;
  } catch (error) {
    if (error instanceof BlockError) return null;
    throw error;
  }
}

function checkSizes(image: Qcow2Image, header: Header): void {
  if (image.subclusterBytes < 1 << MIN_CLUSTER_BITS) {
    throw invalidArgument(`Unsupported subcluster size: ${image.subclusterBytes}`);
  }
  checkRefcountOrder(header.refcountOrder);
  image.refcountWidth = refcountWidth(header.refcountOrder);
}

function checkTables(image: Qcow2Image, header: Header, flags: number): void {
  const mayRepair = (flags & Open.CHECK) !== 0;
  if (header.refcountTableClusters === 0 && !mayRepair) {
    throw invalidArgument('Image does not contain a reference count table');
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
  if (!mayRepair) {
    check(snapshotsOffset, snapshotCount, SNAPSHOT_ENTRY_BYTES, SNAPSHOT_ENTRY_BYTES * MAX_SNAPSHOTS, 'Snapshot table');
  }
  check(l1Offset, l1EntryCount, L1_ENTRY_BYTES, MAX_L1_BYTES, 'Active L1 table');

  // QEMU rounds up in 64 bits: a length near their end needs no entry, and is refused later.
  const wrapsAround = header.lengthBytes > 2 ** 64 - image.l2Entries * image.clusterBytes;
  const neededEntries = wrapsAround ? 0 : image.l1EntriesFor(header.lengthBytes);
  if (neededEntries > INT_MAX) throw new BlockError(Errno.EFBIG, 'Image is too big');
  image.l1VmStateIndex = neededEntries;
  if (l1EntryCount < neededEntries) throw invalidArgument('L1 table is too small');
  image.node.totalSectors = Math.floor(header.lengthBytes / 512);
}

async function readL1(image: Qcow2Image, header: Header): Promise<void> {
  const bytes = image.node.context.allocate(header.l1EntryCount * L1_ENTRY_BYTES);
  if (bytes.length > 0) await withContext('Could not read L1 table', () => readFile(image, header.l1Offset, bytes));
  image.l1 = new L1Table(header.l1Offset, bytes, image.clusterBytes);
}

async function readRefcountTable(image: Qcow2Image, header: Header): Promise<void> {
  const { refcountTableOffset, refcountTableText } = header;
  const bytes = image.node.context.allocate(header.refcountTableClusters * image.clusterBytes);
  if (bytes.length > 0) {
    await image.fire(Event.REFTABLE_LOAD);
    await withContext('Could not initialize refcount handling', () => readFile(image, refcountTableOffset, bytes));
  }
  image.refcountTable = new RefcountTable(refcountTableOffset, bytes, image.clusterBytes, refcountTableText);
}

async function openDataFile(image: Qcow2Image, options: Options): Promise<void> {
  const { node } = image;
  let child = await openChild(node, options, 'data-file', Role.DATA, { allowNone: true });
  image.externalDataFile = child;
  if (!image.hasDataFile) {
    if (child !== null) throw invalidArgument("'data-file' can only be set for images with an external data file");
    if (image.hasRawDataFile) throw invalidArgument('data-file-raw requires a data file');
    return;
  }
  if (child === null && image.dataFileName !== null) {
    // As an option the name is that of a plain file: no protocol, no json:{…}. An image must not choose what is opened.
    options.set('data-file.filename', image.dataFileName.toString('utf8'));
    child = await openChild(node, options, 'data-file', Role.DATA);
    image.externalDataFile = child;
  }
  if (child === null) throw invalidArgument("'data-file' is required for this image");
  // There is no guest data in `file`, so it needs less of it.
  image.file.role &= ~Role.DATA;
  relaxSubtree(node);
}

async function readBackingName(image: Qcow2Image, header: Header): Promise<void> {
  if (header.backingOffset === 0) return;
  const bytes = header.backingBytes;
  if (bytes > Math.min(MAX_BACKING_NAME_BYTES, image.clusterBytes - header.backingOffset)) {
    throw invalidArgument('Backing file name too long');
  }
  const name = Buffer.alloc(bytes);
  await withContext('Could not read backing file name', () => readFile(image, header.backingOffset, name));
  image.backingFile = untilNul(name);
  image.node.backingFilename = image.backingFile.toString('utf8');
  image.node.autoBackingFilename = image.node.backingFilename;
}

/** Begins to look for hazards, if a node with rules is below the image. */
async function watchHazards(image: Qcow2Image): Promise<void> {
  const file = image.file.node;
  const dataFile = image.dataFile.node;
  const ruled = debugNode(file);
  const dataRuled = debugNode(dataFile);
  if (ruled === null && dataRuled === null) return;
  const { ImageHazards } = await import('../../block/hazards/image-hazards.ts');
  image.hazards = new ImageHazards(ruled ?? file, dataRuled ?? dataFile);
}

/** The image was in use when its refcounts were not kept up to date. */
async function repair(image: Qcow2Image): Promise<void> {
  const { checkImage } = await import('./check/check.ts');
  try {
    const result = await run(checkImage(image, 'all'));
    if (result.checkErrors > 0) throw new BlockError(Errno.EIO);
  } catch (error) {
    if (error instanceof BlockError) throw errorWithErrno(error.errno, 'Could not repair dirty image');
    throw error;
  }
}
