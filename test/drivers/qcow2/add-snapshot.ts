/** Gives a closed qcow2 image an internal snapshot of what it holds, field by field. */

const COPIED = 1n << 63n;
const OFFSET = 0x00ff_ffff_ffff_fe00n;
const EXTRA_BYTES = 16;

/** For images with 16-bit refcounts, one refcount block and no compressed clusters. */
export function addSnapshot(image: Buffer): Buffer {
  const clusterBytes = 1 << image.readUInt32BE(20);
  const l1Bytes = image.readUInt32BE(36) * 8;
  const l1Offset = Number(image.readBigUInt64BE(40));
  const end = Math.ceil(image.length / clusterBytes);
  const l1Clusters = Math.ceil(l1Bytes / clusterBytes);
  const result = Buffer.alloc((end + l1Clusters + 1) * clusterBytes);
  image.copy(result);

  const block = Number(result.readBigUInt64BE(Number(result.readBigUInt64BE(48))));
  const count = (offset: bigint | number): void => {
    const at = block + (Number(offset) / clusterBytes) * 2;
    if (at >= block + clusterBytes) throw new Error('more clusters than one refcount block counts');
    result.writeUInt16BE(result.readUInt16BE(at) + 1, at);
  };
  /** Counts what the entries of a table point to once more, and takes their flag away that says once. */
  const share = (table: number, bytes: number, next?: (offset: number) => void): void => {
    for (let at = table; at < table + bytes; at += 8) {
      const entry = result.readBigUInt64BE(at);
      if ((entry & OFFSET) === 0n) continue;
      count(entry & OFFSET);
      result.writeBigUInt64BE(entry & ~COPIED, at);
      next?.(Number(entry & OFFSET));
    }
  };
  share(l1Offset, l1Bytes, (l2Offset) => share(l2Offset, clusterBytes));
  for (let cluster = end; cluster <= end + l1Clusters; cluster++) count(cluster * clusterBytes);
  result.copy(result, end * clusterBytes, l1Offset, l1Offset + l1Bytes);

  const entry = (end + l1Clusters) * clusterBytes;
  result.writeBigUInt64BE(BigInt(end * clusterBytes), entry);
  result.writeUInt32BE(l1Bytes / 8, entry + 8);
  result.writeUInt16BE(1, entry + 12);
  result.writeUInt16BE(4, entry + 14);
  result.writeUInt32BE(EXTRA_BYTES, entry + 36);
  result.writeBigUInt64BE(image.readBigUInt64BE(24), entry + 48);
  result.write('1snap', entry + 40 + EXTRA_BYTES, 'latin1');
  result.writeUInt32BE(1, 60);
  result.writeBigUInt64BE(BigInt(entry), 64);
  return result;
}
