/** Reading and writing tables and the header of a qed image. The lock is held, and given up during the transfer. */
import { Event } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { alignDown, alignUp } from '../../util/align.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { encodeHeader } from './qed-header.ts';
import type { QedImage } from './qed-image.ts';
import { ENTRY_BYTES, L2Table } from './l2-tables.ts';

/** The L2 table at an offset: from the cache, or else from the file. */
export function* loadL2(image: QedImage, offset: number): Steps<L2Table> {
  const known = image.l2Cache.find(offset);
  if (known !== undefined) return known;
  yield image.fire(Event.L2_LOAD);
  const bytes = image.node.context.allocate(image.tableBytes);
  yield* readTable(image, offset, bytes);
  return image.l2Cache.add(new L2Table(offset, bytes));
}

/** Fills a table from the file. */
export function* readTable(image: QedImage, offset: number, table: Buffer): Steps<void> {
  yield* image.lock.releasing(transfer(() => preadv(image.file, offset, table, 0)));
}

/** Writes `count` entries of an L2 table from `index` on, and flushes then if asked to. */
export function* writeL2(
  image: QedImage,
  { offset, bytes }: L2Table,
  index: number,
  count: number,
  flushes: boolean,
): Steps<void> {
  yield image.fire(Event.L2_UPDATE);
  yield* writeEntries(image, offset, bytes, index, count);
  if (flushes) yield flush(image.node);
}

/** Writes `count` entries of the L1 table from `index` on. */
export function* writeL1(image: QedImage, index: number, count: number): Steps<void> {
  yield image.fire(Event.L1_UPDATE);
  yield* writeEntries(image, image.l1Offset, image.l1, index, count);
}

/** Whole sectors, as they are at the beginning of the write. */
function* writeEntries(image: QedImage, offset: number, table: Buffer, index: number, count: number): Steps<void> {
  const start = alignDown(index * ENTRY_BYTES, SECTOR_BYTES);
  const end = alignUp((index + count) * ENTRY_BYTES, SECTOR_BYTES);
  const data = image.node.context.allocate(end - start);
  table.copy(data, 0, start, end);
  yield* image.lock.releasing(transfer(() => pwritev(image.file, offset + start, data, 0)));
}

function* transfer(request: () => Pending): Steps<void> {
  yield request();
}

/** Writes the header and leaves alone what else is in its sector. */
export function* updateHeader({ node, file, header }: QedImage): Steps<void> {
  const sector = node.context.allocate(SECTOR_BYTES);
  yield preadv(file, 0, sector, 0);
  encodeHeader(header).copy(sector);
  yield pwritev(file, 0, sector, 0);
}

/** Writes the header alone. */
export function writeHeader({ file, header }: QedImage): Pending {
  return pwritev(file, 0, encodeHeader(header), 0);
}
