/** Where the metadata of a qcow2 image lies, so that damage can aim at it. */

/** @typedef {{ name: string, offset: number, bytes: number, wordBytes: number }} Region */

const EXTENSION_BITMAPS = 0x23852875;
const OFFSET_BITS = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;

/** The fields of the header: offset and width in bytes. @type {readonly (readonly [number, number])[]} */
export const headerFields = [
  [0, 4],
  [4, 4],
  [8, 8],
  [16, 4],
  [20, 4],
  [24, 8],
  [32, 4],
  [36, 4],
  [40, 8],
  [48, 8],
  [56, 4],
  [60, 4],
  [64, 8],
  [72, 8],
  [80, 8],
  [88, 8],
  [96, 4],
  [100, 4],
  [104, 1],
];

/** The regions of a sound image; all of them lie within it. @param {Buffer} image @returns {Region[]} */
export function regionsOf(image) {
  const clusterBytes = 2 ** image.readUInt32BE(20);
  /** @type {Region[]} */
  const regions = [];
  /** @param {string} name @param {number} offset @param {number} bytes @param {number} [wordBytes] */
  const add = (name, offset, bytes, wordBytes = 8) => {
    const inside = Math.min(bytes, image.length - offset);
    if (offset >= 0 && inside >= wordBytes) regions.push({ name, offset, bytes: inside, wordBytes });
  };
  /** @param {number} at */
  const word = (at) => (at >= 0 && at + 8 <= image.length ? image.readBigUInt64BE(at) : 0n);
  /** @param {number} offset @param {number} bytes The words of a table that are not zero. */
  const entries = (offset, bytes) => {
    const found = [];
    for (let at = offset; at < offset + bytes && at + 8 <= image.length && found.length < 64; at += 8) {
      if (word(at) !== 0n) found.push(word(at));
    }
    return found;
  };

  const isV3 = image.readUInt32BE(4) === 3;
  const headerBytes = isV3 ? image.readUInt32BE(100) : 72;
  add('header', 0, headerBytes, 4);
  const backingOffset = Number(word(8));
  add('backing name', backingOffset === 0 ? -1 : backingOffset, image.readUInt32BE(16), 1);
  let end = headerBytes;
  for (let isLast = false; !isLast && end + 8 <= image.length; ) {
    const type = image.readUInt32BE(end);
    const bytes = image.readUInt32BE(end + 4);
    if (type === EXTENSION_BITMAPS) {
      const [size, offset] = [Number(word(end + 16)), Number(word(end + 24))];
      add('bitmap directory', offset, size, 4);
      add('bitmap table', Number(word(offset)), image.readUInt32BE(offset + 8) * 8);
    }
    isLast = type === 0;
    end += 8 + Math.ceil(bytes / 8) * 8;
  }
  add('extensions', headerBytes, end - headerBytes, 4);

  const l1Offset = Number(word(40));
  const l1Bytes = image.readUInt32BE(36) * 8;
  add('L1', l1Offset, l1Bytes);
  const compressedBits = BigInt(62 - (image.readUInt32BE(20) - 8));
  for (const l1Entry of entries(l1Offset, l1Bytes)) {
    const l2Offset = Number(l1Entry & OFFSET_BITS);
    add('L2', l2Offset, clusterBytes);
    for (const entry of entries(l2Offset, clusterBytes)) {
      if ((entry & COMPRESSED) !== 0n) add('compressed', Number(entry & ((1n << compressedBits) - 1n)), 512, 1);
    }
  }
  const tableOffset = Number(word(48));
  const tableBytes = image.readUInt32BE(56) * clusterBytes;
  add('refcount table', tableOffset, tableBytes);
  for (const entry of entries(tableOffset, tableBytes)) {
    add(
      'refcount block',
      Number(entry & OFFSET_BITS),
      clusterBytes,
      isV3 ? Math.max(1, 2 ** image.readUInt32BE(96) / 8) : 2,
    );
  }
  const snapshotCount = image.readUInt32BE(60);
  const snapshotsOffset = Number(word(64));
  if (snapshotCount > 0) {
    add('snapshots', snapshotsOffset, snapshotCount * 80, 4);
    add("snapshot's L1", Number(word(snapshotsOffset)), image.readUInt32BE(snapshotsOffset + 8) * 8);
  }
  return regions;
}
