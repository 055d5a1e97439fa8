/** Empty qcow2 images of any geometry, made field by field: header, refcount table, one refcount block, L1 table. */

export interface ImageSettings {
  readonly lengthBytes?: number;
  readonly version?: 2 | 3;
  readonly clusterBits?: number;
  readonly refcountOrder?: number;
  readonly extendedL2?: boolean;
  readonly lazyRefcounts?: boolean;
  /** An empty bitmap, enabled, with a bit for each 2 to the power of `granularityBits` bytes. */
  readonly bitmap?: { readonly name: string; readonly granularityBits: number };
  /** AES, or the LUKS header that is put into clusters of its own. */
  readonly encryption?: 'aes' | Buffer;
  /** The data is in a file of its own, which with 'raw' is the guest's disk byte for byte. */
  readonly dataFile?: 'plain' | 'raw';
  readonly backing?: { readonly filename: string; readonly format: string };
}

export function makeImage(settings: ImageSettings = {}): Buffer {
  const { lengthBytes = 1 << 20, version = 3, clusterBits = 16, refcountOrder = 4, extendedL2 = false } = settings;
  const clusterBytes = 1 << clusterBits;
  const perL1Entry = (clusterBytes / (extendedL2 ? 16 : 8)) * clusterBytes;
  const l1Entries = Math.max(1, Math.ceil(lengthBytes / perL1Entry));
  const bitmapCluster = 3 + Math.ceil((l1Entries * 8) / clusterBytes);
  const luksCluster = bitmapCluster + (settings.bitmap === undefined ? 0 : 2);
  const { encryption } = settings;
  const luks = Buffer.isBuffer(encryption) ? encryption : Buffer.alloc(0);
  const usedClusters = luksCluster + Math.ceil(luks.length / clusterBytes);
  const image = Buffer.alloc(usedClusters * clusterBytes);
  image.write('QFI\xfb', 0, 'latin1');
  image.writeUInt32BE(version, 4);
  image.writeUInt32BE(clusterBits, 20);
  image.writeBigUInt64BE(BigInt(lengthBytes), 24);
  image.writeUInt32BE(l1Entries, 36);
  image.writeBigUInt64BE(BigInt(3 * clusterBytes), 40);
  image.writeBigUInt64BE(BigInt(clusterBytes), 48);
  image.writeUInt32BE(1, 56);
  if (version === 3) {
    if (extendedL2) image.writeBigUInt64BE(16n, 72);
    if (settings.lazyRefcounts === true) image.writeBigUInt64BE(1n, 80);
    if (settings.dataFile !== undefined) image.writeBigUInt64BE(extendedL2 ? 20n : 4n, 72);
    if (settings.dataFile === 'raw') image.writeBigUInt64BE(2n, 88);
    image.writeUInt32BE(refcountOrder, 96);
    image.writeUInt32BE(112, 100);
  }
  if (settings.backing !== undefined) writeBacking(image, version === 3 ? 112 : 72, settings.backing);
  if (encryption !== undefined) image.writeUInt32BE(encryption === 'aes' ? 1 : 2, 32);
  if (luks.length > 0) writeLuks(image, luksCluster * clusterBytes, luks);
  if (settings.bitmap !== undefined) writeBitmap(image, clusterBytes, bitmapCluster, settings.bitmap);
  image.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < usedClusters; cluster++) {
    countOnce(image, 2 * clusterBytes, cluster, version === 3 ? refcountOrder : 4);
  }
  return image;
}

/** The extension, right behind the header of version 3, and the LUKS header where it says. */
function writeLuks(image: Buffer, offset: number, luks: Buffer): void {
  image.writeUInt32BE(0x0537be77, 112);
  image.writeUInt32BE(16, 116);
  image.writeBigUInt64BE(BigInt(offset), 120);
  image.writeBigUInt64BE(BigInt(luks.length), 128);
  luks.copy(image, offset);
}

/** The extension, a directory in one cluster and an empty table in the next. */
function writeBitmap(
  image: Buffer,
  clusterBytes: number,
  cluster: number,
  { name, granularityBits }: NonNullable<ImageSettings['bitmap']>,
): void {
  const entryBytes = Math.ceil((24 + name.length) / 8) * 8;
  const directory = cluster * clusterBytes;
  image.writeBigUInt64BE(1n, 88);
  image.writeUInt32BE(0x23852875, 112);
  image.writeUInt32BE(24, 116);
  image.writeUInt32BE(1, 120);
  image.writeBigUInt64BE(BigInt(entryBytes), 128);
  image.writeBigUInt64BE(BigInt(directory), 136);
  image.writeBigUInt64BE(BigInt(directory + clusterBytes), directory);
  image.writeUInt32BE(1, directory + 8);
  image.writeUInt32BE(2, directory + 12);
  image[directory + 16] = 1;
  image[directory + 17] = granularityBits;
  image.writeUInt16BE(name.length, directory + 18);
  image.write(name, directory + 24, 'latin1');
}

function writeBacking(image: Buffer, at: number, { filename, format }: { filename: string; format: string }): void {
  image.writeUInt32BE(0xe2792aca, at);
  image.writeUInt32BE(format.length, at + 4);
  image.write(format, at + 8, 'latin1');
  const nameAt = at + 8 + Math.ceil(format.length / 8) * 8 + 8;
  image.writeBigUInt64BE(BigInt(nameAt), 8);
  image.writeUInt32BE(filename.length, 16);
  image.write(filename, nameAt, 'latin1');
}

/** Sets the refcount of a cluster in a block to 1. */
function countOnce(image: Buffer, blockOffset: number, cluster: number, refcountOrder: number): void {
  const bits = 2 ** refcountOrder;
  if (bits < 8) {
    const at = blockOffset + Math.floor((cluster * bits) / 8);
    image[at] = (image[at] ?? 0) | (1 << ((cluster * bits) % 8));
  } else {
    image[blockOffset + ((cluster + 1) * bits) / 8 - 1] = 1;
  }
}
