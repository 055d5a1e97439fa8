/** Where a cluster of the guest is in the file of a qcow image, and how it gets a place there. The lock is held. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { flush } from '../../block/request/flush.ts';
import { readAnywhere } from '../../block/request/read.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwritev } from '../../block/request/write.ts';
import { deflate } from '../../sys/compression.ts';
import { alignDown, alignUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { TableSlot } from '../../util/table-slots.ts';
import { ENTRY_BYTES } from './l1-table.ts';
import type { QcowImage } from './qcow-image.ts';

/** The bit of an entry that says "compressed", in its upper half. */
const COMPRESSED = 0x8000_0000;

/** The place of a cluster in the file. */
export type Place =
  | { readonly kind: 'none' }
  | { readonly kind: 'plain'; readonly offset: number }
  | { readonly kind: 'compressed'; readonly offset: number; readonly bytes: number };

/** How a cluster is to be found: a range of it is about to be written, or all of it packed into so many bytes. */
type Purpose =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly from: number; readonly to: number }
  | { readonly kind: 'write-compressed'; readonly bytes: number };

const nowhere: Place = { kind: 'none' };

/** Finds the cluster of `position`; one that is to be written gets a place if it has none, or a compressed one. */
export function* findCluster(image: QcowImage, position: number, purpose: Purpose): Steps<Place> {
  const { l1 } = image;
  const l1Index = Math.floor(position / image.l2Reach);
  let l2Offset = l1.get(l1Index);
  const isNewTable = l2Offset === 0;
  if (isNewTable) {
    if (purpose.kind === 'read') return nowhere;
    l2Offset = alignUp(image.file.node.getLength(), image.clusterBytes);
    l1.set(l1Index, l2Offset);
    yield image.fire(Event.L1_UPDATE);
    yield* writeNumber(image, l1.entryOffset(l1Index), Math.floor(l2Offset / 2 ** 32), l2Offset % 2 ** 32);
  }
  const table = image.l2.find(l2Offset) ?? (yield* loadTable(image, l2Offset, isNewTable));
  const index = Math.floor(position / image.clusterBytes) % image.l2Entries;
  const place = placeAt(image, table, index);
  const isKept = place.kind === 'plain' || (place.kind === 'compressed' && purpose.kind !== 'write');
  if (purpose.kind === 'read' || isKept) return place;

  yield image.fire(Event.CLUSTER_ALLOC);
  const fresh = yield* allocate(image, position, place, purpose);
  yield* enter(image, l2Offset, table, index, fresh);
  return fresh;
}

/** A table that is not in a slot yet. A slot that cannot be filled is taken for the table that it had (as in QEMU). */
function* loadTable(image: QcowImage, offset: number, isNew: boolean): Steps<TableSlot> {
  const slot = image.l2.least();
  yield image.fire(Event.L2_LOAD);
  if (isNew) {
    slot.bytes.fill(0);
    yield* writeSync(image, offset, Buffer.from(slot.bytes));
  } else {
    yield readAnywhere(image.file, offset, slot.bytes);
  }
  slot.offset = offset;
  slot.count = 1;
  return slot;
}

function placeAt({ clusterBits, clusterBytes }: QcowImage, { bytes }: TableSlot, index: number): Place {
  const high = bytes.readUInt32BE(index * ENTRY_BYTES);
  const low = bytes.readUInt32BE(index * ENTRY_BYTES + 4);
  if (high === 0 && low === 0) return nowhere;
  if ((high & COMPRESSED) === 0) return { kind: 'plain', offset: high * 2 ** 32 + low };
  const shift = 31 - clusterBits;
  const offset = (high & ((1 << shift) - 1)) * 2 ** 32 + low;
  return { kind: 'compressed', offset, bytes: (high >>> shift) & (clusterBytes - 1) };
}

/** Takes space at the end of the file. */
function* allocate(
  image: QcowImage,
  position: number,
  old: Place,
  purpose: Exclude<Purpose, { kind: 'read' }>,
): Steps<Exclude<Place, { kind: 'none' }>> {
  const { file, clusterBytes } = image;
  if (purpose.kind === 'write-compressed') {
    return { kind: 'compressed', offset: file.node.getLength(), bytes: purpose.bytes };
  }
  const isWhole = purpose.to - purpose.from === clusterBytes;
  if (old.kind === 'compressed' && !isWhole) {
    const content = yield* unpack(image, old);
    const offset = alignUp(file.node.getLength(), clusterBytes);
    yield image.fire(Event.WRITE_AIO);
    yield pwritev(file, offset, Buffer.from(content), 0);
    return { kind: 'plain', offset };
  }
  const offset = alignUp(file.node.getLength(), clusterBytes);
  yield truncate(file, offset + clusterBytes);
  if (image.cipher !== null && !isWhole) yield* encryptAround(image, position, offset, purpose);
  return { kind: 'plain', offset };
}

/** Encrypted zeroes for the sectors of a new cluster that are not about to be written. */
function* encryptAround(
  image: QcowImage,
  position: number,
  offset: number,
  { from, to }: { readonly from: number; readonly to: number },
): Steps<void> {
  const start = alignDown(position, image.clusterBytes);
  for (let at = 0; at < image.clusterBytes; at += SECTOR_BYTES) {
    if (at >= from && at < to) continue;
    const sector = image.node.context.allocate(SECTOR_BYTES);
    image.cipher?.encrypt((start + at) / SECTOR_BYTES, sector, sector);
    yield image.fire(Event.WRITE_AIO);
    yield pwritev(image.file, offset + at, sector, 0);
  }
}

/** Enters a place into its L2 table. In memory it is there also if that cannot be written. */
function* enter(
  image: QcowImage,
  l2Offset: number,
  { bytes: table }: TableSlot,
  index: number,
  place: Exclude<Place, { kind: 'none' }>,
): Steps<void> {
  const { offset } = place;
  const top = Math.floor(offset / 2 ** 32);
  const high = place.kind === 'compressed' ? (COMPRESSED | (place.bytes << (31 - image.clusterBits)) | top) >>> 0 : top;
  const low = offset % 2 ** 32;
  table.writeUInt32BE(high, index * ENTRY_BYTES);
  table.writeUInt32BE(low, index * ENTRY_BYTES + 4);
  yield image.fire(place.kind === 'compressed' ? Event.L2_UPDATE_COMPRESSED : Event.L2_UPDATE);
  yield* writeNumber(image, l2Offset + index * ENTRY_BYTES, high, low);
}

function* writeNumber(image: QcowImage, offset: number, high: number, low: number): Steps<void> {
  const data = Buffer.alloc(ENTRY_BYTES);
  data.writeUInt32BE(high, 0);
  data.writeUInt32BE(low, 4);
  yield* writeSync(image, offset, data);
}

/** Writes, and puts it on stable storage. */
export function* writeSync({ file }: QcowImage, offset: number, data: Buffer): Steps<void> {
  yield pwritev(file, offset, data, 0);
  yield flush(file.node);
}

/** The content of a compressed cluster. EIO, whatever the reason, if it cannot be had. */
export function* unpack(image: QcowImage, { offset, bytes }: { offset: number; bytes: number }): Steps<Buffer> {
  if (image.unpackedOffset === offset) return image.unpacked;
  const packed = image.node.context.allocate(bytes);
  yield image.fire(Event.READ_COMPRESSED);
  try {
    yield readAnywhere(image.file, offset, packed);
  } catch (error) {
    throw error instanceof BlockError ? new BlockError(Errno.EIO) : error;
  }
  const content = deflate().decompress(packed, image.clusterBytes);
  if (content === null) throw new BlockError(Errno.EIO);
  image.unpacked = content;
  image.unpackedOffset = offset;
  return content;
}
