/** Opening the extents that are no plain data: sparse ones of three kinds, each with headers and tables of its own. */
import { BlockError, errorWithErrno, errnoOf, invalidArgument, withContext } from '../../block/error.ts';
import { Open, SECTOR_BYTES } from '../../block/flags.ts';
import type { ChildLink } from '../../block/graph/node.ts';
import { readAnywhere } from '../../block/request/read.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import { bytesOf, Extent, type ExtentShape, naming } from './extent.ts';
import { COWD_MAGIC, SPARSE_MAGIC } from './probe.ts';
import { checkVolatileHeader, parseConstHeader, SE_HEADER_BYTES } from './sesparse-header.ts';
import {
  checkSparseHeader,
  COWD_HEADER_BYTES,
  Flag,
  FOOTER_BYTES,
  isInFooter,
  MAGIC_BYTES,
  parseFooter,
  parseSparseHeader,
  SPARSE_HEADER_BYTES,
  tableCount,
} from './sparse-header.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** As much is read of a descriptor. */
const MAX_DESCRIPTOR_BYTES = 2 ** 20 - 1;
const COWD_TABLE_ENTRIES = 4096;

/** A descriptor that begins at an offset of a file, in bytes, with what follows it. EINVAL if it cannot be read. */
export async function readDescriptor(file: ChildLink, offset: number): Promise<Buffer> {
  const length = await withContext('Could not access file', () => file.node.getLength());
  if (length < MAGIC_BYTES) throw invalidArgument('File is too small, not a valid image');
  const data = Buffer.alloc(Math.min(length, MAX_DESCRIPTOR_BYTES));
  try {
    await readAnywhere(file, offset, data);
  } catch (error) {
    throw invalidArgument(errorWithErrno(errnoOf(error), 'Could not read from file').message);
  }
  return data;
}

function magicOf(head: Buffer): string {
  return head.toString('latin1', 0, MAGIC_BYTES);
}

/** Whether a file that begins so is a sparse extent. */
export function isSparse(head: Buffer): boolean {
  return magicOf(head) === SPARSE_MAGIC || magicOf(head) === COWD_MAGIC;
}

/** Adds the sparse extent in a file that begins with `head`; or gives the descriptor that it has in its place. */
export async function openSparse(
  image: VmdkImage,
  file: ChildLink,
  head: Buffer,
  isWritable: boolean,
): Promise<Buffer | null> {
  if (magicOf(head) === SPARSE_MAGIC) return openHosted(image, file, isWritable);
  if (magicOf(head) !== COWD_MAGIC) throw invalidArgument('Image not in VMDK format');
  await openCowd(image, file);
  return null;
}

function* read(file: ChildLink, offset: number, bytes: number): Steps<Buffer> {
  const data = Buffer.alloc(bytes);
  yield readAnywhere(file, offset, data);
  return data;
}

/** An extent of ESX Server 2, also within the images of later ones: "vmfsSparse". */
async function openCowd(image: VmdkImage, file: ChildLink): Promise<void> {
  const header = await run(naming(file, 'Could not read header from file', read(file, MAGIC_BYTES, COWD_HEADER_BYTES)));
  await add(image, file, {
    kind: 'sparse',
    sectors: BigInt(header.readUInt32LE(8)),
    grainSectors: BigInt(header.readUInt32LE(12)),
    directoryOffset: BigInt(header.readUInt32LE(16)),
    tableCount: header.readUInt32LE(20),
    tableEntries: COWD_TABLE_ENTRIES,
  });
}

/** An extent of Workstation and later products. */
async function openHosted(image: VmdkImage, file: ChildLink, isWritable: boolean): Promise<Buffer | null> {
  const data = Buffer.alloc(MAGIC_BYTES + SPARSE_HEADER_BYTES);
  try {
    const steps = read(file, MAGIC_BYTES, SPARSE_HEADER_BYTES);
    (await run(naming(file, 'Could not read header from file', steps))).copy(data, MAGIC_BYTES);
  } catch (error) {
    throw error instanceof BlockError ? invalidArgument(error.message) : error;
  }
  let header = parseSparseHeader(data);
  if (header.capacity === 0n && header.descriptorOffset !== 0n) {
    return readDescriptor(file, bytesOf(header.descriptorOffset));
  }
  if (image.createType === '') image.createType = 'monolithicSparse';
  if (isInFooter(header)) {
    const offset = image.file.node.totalSectors * SECTOR_BYTES - FOOTER_BYTES;
    header = parseFooter(await withContext('Failed to read footer', () => run(read(file, offset, FOOTER_BYTES))));
  }
  checkSparseHeader(header, isWritable, file.node.getLength() / SECTOR_BYTES);
  const { flags, isCompressed } = header;
  await add(
    image,
    file,
    {
      kind: 'sparse',
      sectors: header.capacity,
      grainSectors: header.grainSectors,
      directoryOffset: header.directoryOffset,
      backupOffset: (flags & Flag.BACKUP) === 0 ? 0n : header.backupOffset,
      tableCount: tableCount(header),
      tableEntries: header.tableEntries,
      isCompressed,
      hasMarkers: (flags & Flag.MARKERS) !== 0,
      hasZeroGrains: (flags & Flag.ZERO_GRAINS) !== 0,
    },
    isCompressed ? 'streamOptimized' : image.createType,
  );
  return null;
}

/** A space-efficient extent: it makes an image read-only, as far as that may be. */
export async function openSeSparse(image: VmdkImage, file: ChildLink): Promise<void> {
  const { node } = image;
  if (!node.isReadOnly) {
    if ((node.openFlags & Open.AUTO_READ_ONLY) === 0 || node.copyOnRead > 0) {
      throw new BlockError(Errno.EACCES, 'No write support for seSparse images available');
    }
    node.openFlags &= ~Open.READ_WRITE;
  }
  const header = parseConstHeader(
    await run(naming(file, 'Could not read const header from file', read(file, 0, SE_HEADER_BYTES))),
  );
  const offset = bytesOf(header.volatileOffset);
  checkVolatileHeader(
    await run(naming(file, 'Could not read volatile header from file', read(file, offset, SE_HEADER_BYTES))),
  );
  await add(image, file, {
    kind: 'sesparse',
    sectors: header.capacity,
    grainSectors: BigInt(header.grainSectors),
    directoryOffset: header.directoryOffset,
    tableCount: header.directoryEntries,
    tableEntries: header.tableEntries,
    tablesOffset: header.tablesOffset,
    grainsOffset: header.grainsOffset,
  });
}

async function add(image: VmdkImage, file: ChildLink, shape: ExtentShape, createType?: string): Promise<void> {
  const extent = new Extent(image, file, shape);
  if (createType !== undefined) image.createType = createType;
  await run(extent.load());
  image.add(extent, shape.sectors);
}
