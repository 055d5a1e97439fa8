/** The content id in the descriptor of an image: it changes with the data, and an overlay knows its parent by it. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { Errno, strerror } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import { textOf } from './extent-lines.ts';
import { Scanner } from './scanner.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** The part of a descriptor that is looked at; of one that is within an extent also the part that is rewritten. */
export const DESCRIPTOR_BYTES = 20 * SECTOR_BYTES;
/** Of a descriptor that is a file. */
const MAX_DESCRIPTOR_BYTES = 16 << 20;

/** The content id of the image, or of its parent as it was when the image was made over it. EINVAL if there is none. */
export function* readContentId(image: VmdkImage, key: 'CID' | 'parentCID'): Steps<number> {
  const data = Buffer.alloc(DESCRIPTOR_BYTES);
  yield preadv(image.file, image.descriptorOffset, data, 0);
  data[data.length - 1] = 0;
  const text = textOf(data);
  const found = text.indexOf(key);
  const cid = found < 0 ? null : new Scanner(text, found + key.length + 1).hex32();
  if (cid === null) throw new BlockError(Errno.EINVAL);
  return cid;
}

/** Gives the image a new content id, on stable storage. EINVAL for a descriptor without a place for it. */
export function* renewContentId(image: VmdkImage): Steps<void> {
  const { file, descriptorOffset, node } = image;
  let bytes = DESCRIPTOR_BYTES;
  if (descriptorOffset === 0) {
    bytes = file.node.getLength();
    if (bytes > MAX_DESCRIPTOR_BYTES) {
      node.context.report('VMDK description file too big');
      throw new BlockError(Errno.EFBIG);
    }
  }
  const data = node.context.allocate(bytes);
  yield preadv(file, descriptorOffset, data, 0);
  data[bytes - 1] = 0;
  putContentId(data, newContentId(node.loop.clock.nowNs(), image.cid));
  yield pwritev(file, descriptorOffset, data, 0);
  yield flush(file.node);
}

/** Rewrites the first line of a content id and all that follows from the parent's on, as much as there is room for. */
function putContentId(data: Buffer, cid: number): void {
  const text = textOf(data);
  const parent = text.indexOf('parentCID');
  if (parent < 0) throw invalidArgument(strerror(Errno.EINVAL));
  const rest = text.slice(parent);
  const put = (line: string, at: number): void => {
    const room = data.length - at - 1;
    if (room < 0) return;
    const length = Math.min(line.length, room);
    data.write(line, at, length, 'latin1');
    data[at + length] = 0;
  };
  put(`${cid.toString(16)}\n`, text.indexOf('CID') + 'CID='.length);
  put(rest, textOf(data).length);
}

/** A number that depends on the time, and is another one than before. */
export function newContentId(timeNs: number, before: number): number {
  let bits = (Math.floor(timeNs / 2 ** 32) ^ before) | 0;
  bits = Math.imul(bits ^ (timeNs % 2 ** 32), 0x9e37_79b1);
  bits = Math.imul(bits ^ (bits >>> 15), 0x85eb_ca77);
  const cid = (bits ^ (bits >>> 13)) >>> 0;
  return cid === before ? (cid ^ 1) >>> 0 : cid;
}

/** Whether the backing file is still as it was when the image was made over it; once it was, it is not asked again. */
export function* isParentRight(image: VmdkImage): Steps<boolean> {
  const { backing } = image.node;
  if (!image.isParentChecked && backing !== null) {
    const parent = backing.node;
    if (parent.driver.formatName !== image.node.driver.formatName) return false;
    try {
      const cid = yield* readContentId((parent as BlockNode<VmdkImage>).state, 'CID');
      if (cid !== image.parentCid) return false;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      return false;
    }
  }
  image.isParentChecked = true;
  return true;
}
