/** Opening and closing a qed image. */
import { BlockError, errnoOf, invalidArgument } from '../../block/error.ts';
import { Open } from '../../block/flags.ts';
import { openFileChild } from '../../block/open/open.ts';
import type { Options } from '../../block/options/options.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { type Answer, run, type Steps } from '../../util/steps.ts';
import { checkImage } from './check.ts';
import { HEADER_BYTES } from './probe.ts';
import { Feature, type Header, parseHeader } from './qed-header.ts';
import { QedImage, type QedNode } from './qed-image.ts';
import { readTable, writeHeader } from './table-io.ts';

/** A name has to end before this many bytes (Linux's PATH_MAX). */
const NAME_END_BYTES = 4096;
const UINT32_MAX = 2 ** 32 - 1;

/** Opens `file` and the image in it; sets `node.state`. An image that was not closed is checked and repaired. */
export async function openImage(node: QedNode, options: Options, flags: number): Promise<void> {
  const file = await openFileChild(node, options, 'file');
  const data = Buffer.alloc(HEADER_BYTES);
  await saying('Failed to read QED header', () => preadv(file, 0, data, 0));
  const header = parseHeader(data);
  const fileBytes = await saying('Failed to get file length', () => file.node.getLength());
  checkTableOffset(header, fileBytes);
  if (header.headerClusters > UINT32_MAX / header.clusterBytes) throw invalidArgument('QED header size is too large');
  const image = new QedImage(node, header, fileBytes);
  node.state = image;
  await readBackingName(image);
  if (header.autoclearFeatures !== 0n && !file.node.isReadOnly) await clearAutoclear(image);
  await saying('Failed to read L1 table', () => run(image.lock.holding(readTable(image, image.l1Offset, image.l1))));

  const isChecked = (flags & Open.CHECK) === 0 && image.needsCheck && !file.node.isReadOnly;
  if (isChecked) await saying('Image corrupted', () => run(image.lock.holding(repair(image))));
  if (image.needsCheck) image.needCheck.start();
}

/** Throws, with the errno of a failure and a text that does not tell it. */
async function saying<T>(message: string, call: () => Answer<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw new BlockError(errnoOf(error), message);
  }
}

/** Before the tables are allocated: they lie within the file. */
function checkTableOffset({ clusterBytes, tableClusters, headerClusters, l1Offset }: Header, fileBytes: number): void {
  const cluster = BigInt(clusterBytes);
  const end = l1Offset + BigInt(tableClusters) * cluster;
  const isWithin = l1Offset >= BigInt(headerClusters) * cluster && end <= BigInt(fileBytes);
  if (tableClusters > 1 && l1Offset % cluster === 0n && isWithin) return;
  throw invalidArgument('QED table offset is invalid');
}

async function readBackingName({ node, file, header }: QedImage): Promise<void> {
  if ((header.features & Feature.BACKING_FILE) === 0n) return;
  const { backingOffset, backingBytes } = header;
  if (backingOffset + backingBytes > header.clusterBytes * header.headerClusters) {
    throw invalidArgument('QED backing filename offset is invalid');
  }
  if (backingBytes >= NAME_END_BYTES) throw invalidArgument('Failed to read backing filename');
  const name = Buffer.alloc(backingBytes);
  await saying('Failed to read backing filename', () => preadv(file, backingOffset, name, 0));
  const end = name.indexOf(0);
  node.backingFilename = name.toString('utf8', 0, end < 0 ? name.length : end);
  node.autoBackingFilename = node.backingFilename;
  if ((header.features & Feature.BACKING_FORMAT_NO_PROBE) !== 0n) node.backingFormat = 'raw';
}

/** Features that are not known here no longer hold once the image may be written. */
async function clearAutoclear(image: QedImage): Promise<void> {
  image.header.autoclearFeatures = 0n;
  await saying('Failed to update header', () => writeHeader(image));
  await run(flushFile(image));
}

function* repair(image: QedImage): Steps<void> {
  yield* checkImage(image, true);
}

/** Gives the image back clean: what its tables point to is on stable storage. */
export async function closeImage(image: QedImage): Promise<void> {
  image.needCheck.cancel();
  await run(flushFile(image));
  if (!image.needsCheck) return;
  image.needsCheck = false;
  await run(markClean(image));
}

function* flushFile({ file }: QedImage): Steps<void> {
  try {
    yield flush(file.node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

function* markClean(image: QedImage): Steps<void> {
  try {
    yield writeHeader(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
