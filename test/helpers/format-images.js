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
