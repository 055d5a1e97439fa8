/** The overlay of snapshot mode: an empty qcow2 image in a temporary file. */
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BlockError, withContext } from '../../block/error.ts';
import type { TemporaryOverlay } from '../../block/open/overlay.ts';
import { writeRange } from '../../sys/positional-io.ts';
import { loadNow } from '../../util/load-now.ts';
import { divRoundUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { HEADER_BYTES, HeaderField, L1_ENTRY_BYTES, MAGIC, MAX_L1_BYTES } from './format/header-fields.ts';

const CLUSTER_BITS = 16;
const CLUSTER_BYTES = 1 << CLUSTER_BITS;
const L2_ENTRY_BYTES = 8;
/** The bytes of the disk that one L2 table covers. */
const L2_COVERS_BYTES = (CLUSTER_BYTES / L2_ENTRY_BYTES) * CLUSTER_BYTES;

/**
 * Makes the file, private to the user. Throws EFBIG for a length that no L1 table covers, and what the host says when
 * the file cannot be made.
 */
export async function makeTemporaryOverlay(lengthBytes: number): Promise<TemporaryOverlay> {
  const image = emptyImage(lengthBytes);
  const { randomBytes } = loadNow('node:crypto');
  const filename = join(
    process.env.TMPDIR ?? loadNow('node:os').tmpdir(),
    `blkscope-${randomBytes(6).toString('hex')}.qcow2`,
  );
  withContext(`Could not create temporary overlay '${filename}'`, () => writeFile(filename, image));
  return { filename, remove: () => unlinkSync(filename) };
}

/** Makes a file with this content; none is left if that fails. */
function writeFile(filename: string, content: Buffer): void {
  const fd = openSync(filename, 'wx', 0o600);
  try {
    // A disk that is nearly full takes a part of it at first.
    writeRange(fd, content, 0);
  } catch (error) {
    unlinkSync(filename);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** An empty version 3 image: header, refcount table, one refcount block, L1 table, each in clusters of its own. */
export function emptyImage(lengthBytes: number): Buffer {
  const l1Entries = Math.max(1, divRoundUp(lengthBytes, L2_COVERS_BYTES));
  if (l1Entries * L1_ENTRY_BYTES > MAX_L1_BYTES) {
    throw new BlockError(Errno.EFBIG, 'Could not create temporary overlay: the image is too large for qcow2');
  }
  const l1Clusters = divRoundUp(l1Entries * L1_ENTRY_BYTES, CLUSTER_BYTES);
  const usedClusters = 3 + l1Clusters;
  const image = Buffer.alloc(usedClusters * CLUSTER_BYTES);
  writeHeader(image, lengthBytes, l1Entries);
  image.writeBigUInt64BE(BigInt(2 * CLUSTER_BYTES), CLUSTER_BYTES);
  for (let cluster = 0; cluster < usedClusters; cluster++) image.writeUInt16BE(1, 2 * CLUSTER_BYTES + 2 * cluster);
  return image;
}

/** Field by field as in the qcow2 specification; fields that are not written are zero. */
function writeHeader(image: Buffer, lengthBytes: number, l1Entries: number): void {
  const refcountTable = { offset: CLUSTER_BYTES, clusters: 1 };
  image.writeUInt32BE(MAGIC, HeaderField.MAGIC);
  image.writeUInt32BE(3, HeaderField.VERSION);
  image.writeUInt32BE(CLUSTER_BITS, HeaderField.CLUSTER_BITS);
  image.writeBigUInt64BE(BigInt(lengthBytes), HeaderField.LENGTH);
  image.writeUInt32BE(l1Entries, HeaderField.L1_ENTRY_COUNT);
  image.writeBigUInt64BE(BigInt(3 * CLUSTER_BYTES), HeaderField.L1_OFFSET);
  image.writeBigUInt64BE(BigInt(refcountTable.offset), HeaderField.REFCOUNT_TABLE_OFFSET);
  image.writeUInt32BE(refcountTable.clusters, HeaderField.REFCOUNT_TABLE_CLUSTERS);
  // 2 to the 4th is a refcount width of 16 bits.
  image.writeUInt32BE(4, HeaderField.REFCOUNT_ORDER);
  image.writeUInt32BE(HEADER_BYTES, HeaderField.HEADER_BYTES);
}
