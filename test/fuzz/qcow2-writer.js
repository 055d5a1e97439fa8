/**
 * Writes small valid qcow2 images of every geometry, with whatever an image can have: snapshots, bitmaps, compressed
 * clusters, subclusters, a data file, a backing file. After QEMU's docs/interop/qcow2.txt; sound by `qemu-img check`.
 */
import { deflateRawSync } from 'node:zlib';

/** @typedef {import('./random.js').Random} Random */
/** @typedef {{ name: string, data: Buffer }} ImageFile */
/** @typedef {ReturnType<typeof chooseGeometry>} Geometry */

const COPIED = 1n << 63n;
const COMPRESSED = 1n << 62n;
const Incompatible = { DIRTY: 1n, DATA_FILE: 4n, EXTENDED_L2: 16n };
const LAZY_REFCOUNTS = 1n;
const Autoclear = { BITMAPS: 1n, RAW_DATA_FILE: 2n };
const Extension = {
  BACKING_FORMAT: 0xe2792aca,
  FEATURE_TABLE: 0x6803f857,
  BITMAPS: 0x23852875,
  DATA_FILE: 0x44415441,
  UNKNOWN: 0x12345678,
};

/** Everything that tells one image from another. @param {Random} random */
function chooseGeometry(random) {
  const clusterBits = random.chance(75)
    ? random.pick([9, 9, 10, 12, 14, 16])
    : random.pick([11, 13, 15, 17, 17, 18, 21]);
  const isV3 = random.chance(85);
  const hasDataFile = isV3 && random.chance(12);
  const refcountOrder = isV3 && random.chance(50) ? random.below(7) : 4;
  const extendedL2 = isV3 && clusterBits >= 14 && random.chance(40);
  const entriesPerTable = 2 ** clusterBits / (extendedL2 ? 16 : 8);
  const clusters = random.chance(25) ? random.between(entriesPerTable, 3 * entriesPerTable) : random.between(1, 60);
  return {
    clusterBits,
    clusterBytes: 2 ** clusterBits,
    isV3,
    refcountOrder,
    extendedL2,
    entriesPerTable,
    hasDataFile,
    lengthBytes: Math.max(1, clusters * (2 ** clusterBits / 512) - (random.chance(30) ? 1 : 0)) * 512,
    dataClusters: random.between(0, 8),
    packedClusters: hasDataFile || random.chance(50) ? 0 : random.between(1, 3),
    snapshots: refcountOrder === 0 || hasDataFile ? 0 : random.pick([0, 0, 0, 1, 2]),
    bitmaps: isV3 ? random.pick([0, 0, 0, 1, 2]) : 0,
    isDirty: isV3 && random.chance(8),
    isLazy: isV3 && random.chance(15),
    /** @type {'raw' | 'qcow2' | null} */
    backing: hasDataFile || random.chance(75) ? null : random.pick(['raw', 'qcow2']),
  };
}

/** An image: `disk.img` and the files that it needs. @param {Random} random @returns {ImageFile[]} */
export function makeQcow2(random) {
  const geometry = chooseGeometry(random);
  const files = [{ name: 'disk.img', data: new Writer(geometry, random).image() }];
  if (geometry.hasDataFile)
    files.push({ name: 'data.raw', data: Buffer.alloc(Math.min(geometry.lengthBytes, 2 ** 20), 0x11) });
  if (geometry.backing === 'raw')
    files.push({ name: 'base.img', data: Buffer.alloc(random.between(1, 64) * 512, 0x22) });
  if (geometry.backing === 'qcow2') {
    const base = { ...chooseGeometry(random), clusterBits: 9, clusterBytes: 512, backing: null, hasDataFile: false };
    const plain = { ...base, extendedL2: false, entriesPerTable: 64, lengthBytes: random.between(1, 100) * 512 };
    files.push({ name: 'base.img', data: new Writer(plain, random).image() });
  }
  return files;
}

class Writer {
  /** The contents of the file, by offset. @type {[offset: number, data: Buffer][]} */
  #parts = [];
  /** Of each host cluster. @type {number[]} */
  #refcounts = [1];
  #geometry;
  #random;

  /** @param {Geometry} geometry @param {Random} random */
  constructor(geometry, random) {
    this.#geometry = geometry;
    this.#random = random;
  }

  image() {
    const { clusterBytes } = this.#geometry;
    const l1 = this.#activeTables();
    const snapshots = this.#snapshotTable(l1);
    const bitmaps = this.#bitmapDirectory();
    const l1Offset = this.#write(words(this.#withFlags(l1)));
    const refcounts = this.#refcountTable();
    this.#parts.push([0, this.#header({ l1Offset, l1Count: l1.length, ...snapshots, bitmaps, ...refcounts })]);
    const image = Buffer.alloc(this.#refcounts.length * clusterBytes);
    for (const [offset, data] of this.#parts) data.copy(image, offset);
    return image;
  }

  /** Clusters in a row: their offset. @param {number} bytes */
  #allocate(bytes) {
    const { clusterBytes } = this.#geometry;
    const start = this.#refcounts.length;
    for (let index = 0; index < Math.max(1, Math.ceil(bytes / clusterBytes)); index++) this.#refcounts.push(1);
    return start * clusterBytes;
  }

  /** @param {Buffer} data */
  #write(data) {
    const offset = this.#allocate(data.length);
    this.#parts.push([offset, data]);
    return offset;
  }

  /** Which L2 tables there are, by L1 index. @type {Map<number, Map<number, { entry: bigint, bitmap: bigint }>>} */
  #tables = new Map();
  /** Where they lie. @type {Map<number, number>} */
  #tableOffsets = new Map();

  /** Puts clusters into the guest's disk: the L1 table, without flags. */
  #activeTables() {
    const { clusterBytes, lengthBytes, entriesPerTable, dataClusters, packedClusters } = this.#geometry;
    const guestClusters = Math.ceil(lengthBytes / clusterBytes);
    const any = () =>
      this.#random.chance(70) ? this.#random.below(Math.min(12, guestClusters)) : this.#random.below(guestClusters);
    for (let count = 0; count < dataClusters; count++) this.#mapData(any());
    let end = 0;
    for (let count = 0; count < packedClusters; count++) end = this.#mapPacked(any(), end);
    const l1 = Array.from({ length: Math.ceil(guestClusters / entriesPerTable) }, () => 0n);
    for (const index of this.#tables.keys()) {
      const offset = this.#allocate(clusterBytes);
      this.#tableOffsets.set(index, offset);
      l1[index] = BigInt(offset);
    }
    return l1;
  }

  /** @param {number} guest @param {bigint} entry @param {bigint} bitmap */
  #map(guest, entry, bitmap) {
    const { entriesPerTable } = this.#geometry;
    const index = Math.floor(guest / entriesPerTable);
    const table = this.#tables.get(index) ?? new Map();
    this.#tables.set(index, table);
    table.set(guest % entriesPerTable, { entry, bitmap });
  }

  /** @param {number} guest */
  #isMapped(guest) {
    const { entriesPerTable } = this.#geometry;
    return this.#tables.get(Math.floor(guest / entriesPerTable))?.has(guest % entriesPerTable) === true;
  }

  /** @param {number} guest */
  #mapData(guest) {
    if (this.#isMapped(guest)) return;
    const { clusterBytes, hasDataFile, isV3, extendedL2 } = this.#geometry;
    const random = this.#random;
    const isZero = isV3 && random.chance(25);
    if (isZero && random.chance(50)) {
      this.#map(guest, extendedL2 ? 0n : 1n, 0xffffffffn << 32n);
      return;
    }
    const data = Buffer.alloc(clusterBytes, random.between(1, 255));
    const offset = hasDataFile ? guest * clusterBytes : this.#write(data);
    const isReadAsZero = isZero && !extendedL2;
    const allocated = random.chance(50) ? 0xffffffffn : random.bits64() & 0xffffffffn;
    const zero = random.bits64() & 0xffffffffn & ~allocated;
    this.#map(guest, BigInt(offset) | COPIED | (isReadAsZero ? 1n : 0n), (zero << 32n) | allocated);
  }

  /**
   * Compresses a cluster, behind the last one if there is room: where it ends.
   * @param {number} guest
   * @param {number} end
   */
  #mapPacked(guest, end) {
    if (this.#isMapped(guest)) return end;
    const { clusterBits, clusterBytes, refcountOrder } = this.#geometry;
    const packed = deflateRawSync(Buffer.alloc(clusterBytes, this.#random.bytes(3)), { windowBits: 12, level: 9 });
    const left = end % clusterBytes === 0 ? 0 : clusterBytes - (end % clusterBytes);
    // Small refcounts have no room for several of them in a cluster.
    const shares = refcountOrder > 2 && packed.length <= left;
    const offset = shares ? end : this.#allocate(packed.length);
    if (shares) this.#refer(offset, 1);
    this.#parts.push([offset, packed]);
    const sectors = Math.floor((offset + packed.length - 1) / 512) - Math.floor(offset / 512);
    this.#map(guest, COMPRESSED | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(offset), 0n);
    return offset + packed.length;
  }

  /**
   * More references to a cluster; to none if there is none at the offset.
   * @param {number} offset
   * @param {number} count
   */
  #refer(offset, count) {
    const cluster = Math.floor(offset / this.#geometry.clusterBytes);
    if (cluster > 0) this.#refcounts[cluster] = (this.#refcounts[cluster] ?? 0) + count;
  }

  /** Each snapshot has an L1 table of its own, over the same L2 tables. @param {bigint[]} l1 */
  #snapshotTable(l1) {
    const { snapshots, isV3, lengthBytes } = this.#geometry;
    const names = Array.from({ length: snapshots }, (_, index) => `snapshot-${index + 1}`);
    const entries = names.map((name, index) => {
      const head = Buffer.alloc(40);
      head.writeBigUInt64BE(BigInt(this.#write(words(l1))), 0);
      head.writeUInt32BE(l1.length, 8);
      head.writeUInt16BE(1, 12);
      head.writeUInt16BE(name.length, 14);
      head.writeUInt32BE(1_700_000_000, 16);
      const extra = isV3 ? words([0n, BigInt(lengthBytes), 0n]) : Buffer.alloc(0);
      head.writeUInt32BE(extra.length, 36);
      return padded(Buffer.concat([head, extra, Buffer.from(`${index + 1}${name}`)]));
    });
    for (const [index, table] of this.#tables) {
      this.#refer(this.#tableOffsets.get(index) ?? 0, snapshots);
      for (const { entry } of table.values()) this.#refer(this.#hostOffset(entry), snapshots);
    }
    this.#writeTables();
    return { snapshotCount: snapshots, snapshotsOffset: snapshots === 0 ? 0 : this.#write(Buffer.concat(entries)) };
  }

  /** Of what an L2 entry refers to; of nothing, 0. @param {bigint} entry */
  #hostOffset(entry) {
    const { clusterBits, hasDataFile } = this.#geometry;
    if (hasDataFile) return 0;
    const mask = (entry & COMPRESSED) === 0n ? 0x00ff_ffff_ffff_fe00n : (1n << BigInt(62 - (clusterBits - 8))) - 1n;
    return Number(entry & mask);
  }

  #writeTables() {
    const { clusterBytes, extendedL2, snapshots } = this.#geometry;
    for (const [index, table] of this.#tables) {
      const data = Buffer.alloc(clusterBytes);
      for (const [slot, { entry, bitmap }] of table) {
        data.writeBigUInt64BE(snapshots === 0 ? entry : entry & ~COPIED, slot * (extendedL2 ? 16 : 8));
        if (extendedL2) data.writeBigUInt64BE((entry & COMPRESSED) === 0n ? bitmap : 0n, slot * 16 + 8);
      }
      this.#parts.push([this.#tableOffsets.get(index) ?? 0, data]);
    }
  }

  /** @param {bigint[]} l1 */
  #withFlags(l1) {
    return l1.map((entry) => (entry === 0n || this.#geometry.snapshots > 0 ? entry : entry | COPIED));
  }

  /** The header extension of bitmaps; null without any. */
  #bitmapDirectory() {
    const { bitmaps, lengthBytes, clusterBytes } = this.#geometry;
    if (bitmaps === 0) return null;
    const random = this.#random;
    const entries = Array.from({ length: bitmaps }, (_, index) => {
      const granularityBits = random.pick([9, 12, 16]);
      const tableBytes = Math.ceil(Math.ceil(lengthBytes / 2 ** granularityBits) / 8 / clusterBytes);
      const table = Array.from({ length: tableBytes }, () =>
        random.chance(50) ? BigInt(random.below(2)) : BigInt(this.#write(Buffer.alloc(clusterBytes, 0x0f))),
      );
      const head = Buffer.alloc(24);
      head.writeBigUInt64BE(BigInt(this.#write(words(table))), 0);
      head.writeUInt32BE(table.length, 8);
      // In use, or kept up to date by itself.
      head.writeUInt32BE(random.pick([0, 1, 2]), 12);
      head[16] = 1;
      head[17] = granularityBits;
      const name = `bitmap-${index}`;
      head.writeUInt16BE(name.length, 18);
      return padded(Buffer.concat([head, Buffer.from(name)]));
    });
    const directory = Buffer.concat(entries);
    const extension = Buffer.alloc(24);
    extension.writeUInt32BE(bitmaps, 0);
    extension.writeBigUInt64BE(BigInt(directory.length), 8);
    extension.writeBigUInt64BE(BigInt(this.#write(directory)), 16);
    return extension;
  }

  /** Counts every cluster, those of the refcounts included. */
  #refcountTable() {
    const { clusterBytes, refcountOrder } = this.#geometry;
    const perBlock = (clusterBytes * 8) / 2 ** refcountOrder;
    let blockCount = 0;
    let tableClusters = 0;
    const used = this.#refcounts.length;
    for (let needed = 1; needed > blockCount; ) {
      blockCount = needed;
      tableClusters = Math.ceil((blockCount * 8) / clusterBytes);
      needed = Math.ceil((used + blockCount + tableClusters) / perBlock);
    }
    const blockOffsets = Array.from({ length: blockCount }, () => this.#allocate(clusterBytes));
    const refcountTableOffset = this.#write(words(blockOffsets.map(BigInt)));
    for (const [index, offset] of blockOffsets.entries()) {
      const counts = this.#refcounts.slice(index * perBlock, (index + 1) * perBlock);
      this.#parts.push([offset, refcountBlock(counts, refcountOrder)]);
    }
    return { refcountTableOffset, refcountTableClusters: tableClusters };
  }

  /**
   * @param {{ l1Offset: number, l1Count: number, snapshotCount: number, snapshotsOffset: number,
   *   bitmaps: Buffer | null, refcountTableOffset: number, refcountTableClusters: number }} tables
   */
  #header({ l1Offset, l1Count, snapshotCount, snapshotsOffset, bitmaps, refcountTableOffset, refcountTableClusters }) {
    const { clusterBits, lengthBytes, isV3, refcountOrder, extendedL2, hasDataFile, isDirty, isLazy, backing } =
      this.#geometry;
    const header = Buffer.alloc(isV3 ? 112 : 72);
    header.writeUInt32BE(0x514649fb, 0);
    header.writeUInt32BE(isV3 ? 3 : 2, 4);
    header.writeUInt32BE(clusterBits, 20);
    header.writeBigUInt64BE(BigInt(lengthBytes), 24);
    header.writeUInt32BE(l1Count, 36);
    header.writeBigUInt64BE(BigInt(l1Offset), 40);
    header.writeBigUInt64BE(BigInt(refcountTableOffset), 48);
    header.writeUInt32BE(refcountTableClusters, 56);
    header.writeUInt32BE(snapshotCount, 60);
    header.writeBigUInt64BE(BigInt(snapshotsOffset), 64);
    if (isV3) {
      const extended = extendedL2 ? Incompatible.EXTENDED_L2 : 0n;
      header.writeBigUInt64BE(
        extended | (hasDataFile ? Incompatible.DATA_FILE : 0n) | (isDirty ? Incompatible.DIRTY : 0n),
        72,
      );
      header.writeBigUInt64BE(isLazy || isDirty ? LAZY_REFCOUNTS : 0n, 80);
      header.writeBigUInt64BE((bitmaps ? Autoclear.BITMAPS : 0n) | (hasDataFile ? Autoclear.RAW_DATA_FILE : 0n), 88);
      header.writeUInt32BE(refcountOrder, 96);
      header.writeUInt32BE(112, 100);
    }
    const extensions = this.#extensions(bitmaps);
    if (backing !== null) {
      header.writeBigUInt64BE(BigInt(header.length + extensions.length), 8);
      header.writeUInt32BE('base.img'.length, 16);
    }
    return Buffer.concat([header, extensions, Buffer.from(backing === null ? '' : 'base.img')]);
  }

  /** @param {Buffer | null} bitmaps */
  #extensions(bitmaps) {
    const { backing, hasDataFile, clusterBytes } = this.#geometry;
    const all = [];
    if (backing !== null) all.push(extension(Extension.BACKING_FORMAT, Buffer.from(backing)));
    if (hasDataFile) all.push(extension(Extension.DATA_FILE, Buffer.from('data.raw')));
    if (bitmaps !== null) all.push(extension(Extension.BITMAPS, bitmaps));
    if (clusterBytes >= 1024 && this.#random.chance(60)) {
      const feature = Buffer.alloc(48);
      feature[1] = 5;
      feature.write('a feature', 2);
      all.push(extension(Extension.FEATURE_TABLE, feature));
    }
    if (this.#random.chance(20)) all.push(extension(Extension.UNKNOWN, this.#random.bytes(this.#random.below(40))));
    return Buffer.concat([...all, extension(0, Buffer.alloc(0))]);
  }
}

/** @param {readonly bigint[]} values */
function words(values) {
  const data = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) data.writeBigUInt64BE(value, index * 8);
  return data;
}

/** To a multiple of 8 bytes. @param {Buffer} data */
function padded(data) {
  return Buffer.concat([data, Buffer.alloc((8 - (data.length % 8)) % 8)]);
}

/** @param {number} type @param {Buffer} data */
function extension(type, data) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(type, 0);
  head.writeUInt32BE(data.length, 4);
  return padded(Buffer.concat([head, data]));
}

/** @param {readonly number[]} counts @param {number} order */
function refcountBlock(counts, order) {
  const bits = 2 ** order;
  if (bits >= 8) {
    const width = bits / 8;
    const data = Buffer.alloc(counts.length * width);
    for (const [index, count] of counts.entries())
      data.writeUIntBE(count, index * width + Math.max(0, width - 4), Math.min(width, 4));
    return data;
  }
  const data = Buffer.alloc(Math.ceil((counts.length * bits) / 8));
  for (const [index, count] of counts.entries()) {
    const at = Math.floor((index * bits) / 8);
    data[at] = (data[at] ?? 0) | (count << ((index * bits) % 8));
  }
  return data;
}
