/** Images of QEMU's other formats made field by field, the same in every run. */

/**
 * @typedef {object} DiskSettings
 * @property {number} lengthBytes A multiple of 512.
 * @property {number} [clusterBytes] A power of two.
 * @property {string | undefined} [backing] The name of the backing file.
 * @property {readonly number[]} [clusters] Clusters of the guest that have data: each is filled with its number and 1.
 */

/** A qed image. @param {DiskSettings & { tableClusters?: number, needsCheck?: boolean }} settings */
export function makeQed(settings) {
  const { lengthBytes, clusterBytes = 4096, tableClusters = 2, backing, clusters = [], needsCheck = false } = settings;
  const tableBytes = clusterBytes * tableClusters;
  const entries = tableBytes / 8;
  const header = Buffer.alloc(clusterBytes);
  header.write('QED\0', 0, 'latin1');
  header.writeUInt32LE(clusterBytes, 4);
  header.writeUInt32LE(tableClusters, 8);
  header.writeUInt32LE(1, 12);
  header.writeBigUInt64LE((backing === undefined ? 0n : 1n) | (needsCheck ? 2n : 0n), 16);
  header.writeBigUInt64LE(BigInt(clusterBytes), 40);
  header.writeBigUInt64LE(BigInt(lengthBytes), 48);
  if (backing !== undefined) {
    header.writeUInt32LE(64, 56);
    header.writeUInt32LE(backing.length, 60);
    header.write(backing, 64);
  }
  const l1 = Buffer.alloc(tableBytes);
  /** @type {Buffer[]} */
  const parts = [header, l1];
  let end = clusterBytes + tableBytes;
  /** @type {Map<number, Buffer>} */
  const tables = new Map();
  for (const cluster of clusters) {
    const index = Math.floor(cluster / entries);
    let table = tables.get(index);
    if (table === undefined) {
      table = Buffer.alloc(tableBytes);
      tables.set(index, table);
      l1.writeBigUInt64LE(BigInt(end), index * 8);
      parts.push(table);
      end += tableBytes;
    }
    table.writeBigUInt64LE(BigInt(end), (cluster % entries) * 8);
    parts.push(Buffer.alloc(clusterBytes, cluster + 1));
    end += clusterBytes;
  }
  return Buffer.concat(parts);
}

/** The fixed parts of a qcow image: it may be encrypted, but then its clusters are not. */
const QCOW = { headerBytes: 48, nameBytes: 1024, l2Bits: 6 };

/** A qcow image. @param {DiskSettings & { isEncrypted?: boolean }} settings */
export function makeQcow(settings) {
  const { lengthBytes, clusterBytes = 4096, backing, clusters = [], isEncrypted = false } = settings;
  const entries = 2 ** QCOW.l2Bits;
  const l1Offset = QCOW.headerBytes + QCOW.nameBytes;
  const l1 = Buffer.alloc(Math.ceil(lengthBytes / (entries * clusterBytes)) * 8);
  const header = Buffer.alloc(l1Offset);
  header.write('QFI\xfb', 0, 'latin1');
  header.writeUInt32BE(1, 4);
  header.writeBigUInt64BE(BigInt(lengthBytes), 24);
  header.writeUInt8(Math.log2(clusterBytes), 32);
  header.writeUInt8(QCOW.l2Bits, 33);
  header.writeUInt32BE(isEncrypted ? 1 : 0, 36);
  header.writeBigUInt64BE(BigInt(l1Offset), 40);
  if (backing !== undefined) {
    header.writeBigUInt64BE(BigInt(QCOW.headerBytes), 8);
    header.writeUInt32BE(backing.length, 16);
    header.write(backing, QCOW.headerBytes);
  }
  /** @type {Buffer[]} */
  const parts = [header, l1];
  let end = l1Offset + l1.length;
  /** @param {Buffer} part */
  const append = (part) => {
    const padding = (clusterBytes - (end % clusterBytes)) % clusterBytes;
    parts.push(Buffer.alloc(padding), part);
    const offset = end + padding;
    end = offset + part.length;
    return BigInt(offset);
  };
  /** @type {Map<number, Buffer>} */
  const tables = new Map();
  for (const cluster of clusters) {
    const index = Math.floor(cluster / entries);
    let table = tables.get(index);
    if (table === undefined) {
      table = Buffer.alloc(entries * 8);
      tables.set(index, table);
      l1.writeBigUInt64BE(append(table), index * 8);
    }
    table.writeBigUInt64BE(append(Buffer.alloc(clusterBytes, cluster + 1)), (cluster % entries) * 8);
  }
  return Buffer.concat(parts);
}
