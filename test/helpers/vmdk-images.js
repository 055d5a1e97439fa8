/** Images of vmdk made field by field, the same in every run: sparse extents of all kinds, and descriptors. */
import { deflateSync } from 'node:zlib';

const SECTOR = 512;
const DESCRIPTOR_SECTORS = 20;

/** The content id of every image that is made here, and the one that stands for no parent. */
export const CONTENT_ID = 'fa343b34';
const NO_PARENT = 'ffffffff';

/**
 * @typedef {object} ExtentSettings
 * @property {number} lengthBytes A multiple of 512.
 * @property {number} [grainBytes] A power of two.
 * @property {number} [tableEntries] At most 512.
 * @property {readonly number[]} [clusters] Grains of the guest that have data: each is filled with its number and 1.
 * @property {readonly number[]} [zeroed] Grains that are marked as zeroes.
 * @property {boolean} [hasZeroGrains]
 * @property {boolean} [hasBackup] A second set of tables.
 * @property {boolean} [isCompressed]
 * @property {boolean} [hasFooter] The header does not tell where the tables are.
 * @property {string} [descriptor] The text that is within the extent.
 */

/** A hosted sparse extent. @param {ExtentSettings} settings */
export function makeSparseExtent(settings) {
  const { lengthBytes, grainBytes = 4096, tableEntries = 512, clusters = [], zeroed = [], descriptor = '' } = settings;
  const { hasZeroGrains = zeroed.length > 0, hasBackup = true, isCompressed = false, hasFooter = false } = settings;
  const tableCount = Math.ceil(Math.ceil(lengthBytes / grainBytes) / tableEntries);
  const tableSectors = Math.ceil((tableEntries * 4) / SECTOR);
  const directorySectors = Math.ceil((tableCount * 4) / SECTOR);
  const groupSectors = directorySectors + tableCount * tableSectors;
  const backupOffset = 1 + DESCRIPTOR_SECTORS;
  const directoryOffset = backupOffset + (hasBackup ? groupSectors : 0);
  const grainSectors = grainBytes / SECTOR;
  const overhead = Math.ceil((directoryOffset + groupSectors) / grainSectors) * grainSectors;

  const head = Buffer.concat([
    headerSector({ lengthBytes, grainSectors, tableEntries, hasZeroGrains, hasBackup, isCompressed }),
    Buffer.alloc((overhead - 1) * SECTOR),
  ]);
  head.writeBigUInt64LE(BigInt(hasBackup ? backupOffset : 0), 48);
  head.writeBigUInt64LE(BigInt(directoryOffset), 56);
  head.writeBigUInt64LE(BigInt(overhead), 64);
  const footer = Buffer.from(head.subarray(0, SECTOR));
  if (hasFooter) head.writeBigUInt64LE(2n ** 64n - 1n, 56);
  head.write(descriptor, SECTOR, 'latin1');

  const groups = hasBackup ? [backupOffset, directoryOffset] : [directoryOffset];
  for (const group of groups) {
    for (let table = 0; table < tableCount; table++) {
      head.writeUInt32LE(group + directorySectors + table * tableSectors, group * SECTOR + table * 4);
    }
  }
  /** @param {number} grain @param {number} sector */
  const enter = (grain, sector) => {
    const table = Math.floor(grain / tableEntries);
    for (const group of groups) {
      const start = (group + directorySectors + table * tableSectors) * SECTOR;
      head.writeUInt32LE(sector, start + (grain % tableEntries) * 4);
    }
  };
  for (const grain of zeroed) enter(grain, 1);
  /** @type {Buffer[]} */
  const parts = [head];
  let end = overhead;
  for (const grain of clusters) {
    const data = Buffer.alloc(grainBytes, grain + 1);
    const stored = isCompressed ? withMarker(grain * grainSectors, data) : data;
    enter(grain, end);
    parts.push(stored);
    end += stored.length / SECTOR;
  }
  if (hasFooter) parts.push(marker(1, 3), footer, marker(0, 0));
  return Buffer.concat(parts);
}

/**
 * The header without the places of the tables.
 * @param {{ lengthBytes: number, grainSectors: number, tableEntries: number, hasZeroGrains: boolean,
 *           hasBackup: boolean, isCompressed: boolean }} settings
 */
function headerSector({ lengthBytes, grainSectors, tableEntries, hasZeroGrains, hasBackup, isCompressed }) {
  const head = Buffer.alloc(SECTOR);
  const flags = 1 | (hasBackup ? 2 : 0) | (hasZeroGrains ? 4 : 0) | (isCompressed ? 0x30000 : 0);
  head.write('KDMV', 0, 'latin1');
  head.writeUInt32LE(isCompressed ? 3 : hasZeroGrains ? 2 : 1, 4);
  head.writeUInt32LE(flags, 8);
  head.writeBigUInt64LE(BigInt(lengthBytes / SECTOR), 12);
  head.writeBigUInt64LE(BigInt(grainSectors), 20);
  head.writeBigUInt64LE(1n, 28);
  head.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), 36);
  head.writeUInt32LE(tableEntries, 44);
  head.write('\n \r\n', 73, 'latin1');
  head.writeUInt16LE(isCompressed ? 1 : 0, 77);
  return head;
}

/** A grain as a stream has it. @param {number} sector @param {Buffer} data */
function withMarker(sector, data) {
  const packed = deflateSync(data);
  const stored = Buffer.alloc(Math.ceil((12 + packed.length) / SECTOR) * SECTOR);
  stored.writeBigUInt64LE(BigInt(sector), 0);
  stored.writeUInt32LE(packed.length, 8);
  packed.copy(stored, 12);
  return stored;
}

/** A marker that is no grain. @param {number} value @param {number} type */
function marker(value, type) {
  const sector = Buffer.alloc(SECTOR);
  sector.writeBigUInt64LE(BigInt(value), 0);
  sector.writeUInt32LE(type, 12);
  return sector;
}

/**
 * An extent of ESX Server 2.
 * @param {{ lengthBytes: number, grainBytes?: number, clusters?: readonly number[] }} settings
 */
export function makeCowd({ lengthBytes, grainBytes = 512, clusters = [] }) {
  const entries = 4096;
  const tableCount = Math.ceil(lengthBytes / grainBytes / entries);
  const tables = 4 + Math.ceil((tableCount * 4) / SECTOR);
  const data = tables + (tableCount * entries * 4) / SECTOR;
  const image = Buffer.alloc(data * SECTOR + clusters.length * grainBytes);
  image.write('COWD', 0, 'latin1');
  [1, 3, lengthBytes / SECTOR, grainBytes / SECTOR, 4, tableCount, data].forEach((value, index) => {
    image.writeUInt32LE(value, 4 + index * 4);
  });
  for (let table = 0; table < tableCount; table++) {
    image.writeUInt32LE(tables + (table * entries * 4) / SECTOR, 4 * SECTOR + table * 4);
  }
  clusters.forEach((cluster, index) => {
    const sector = data + (index * grainBytes) / SECTOR;
    image.writeUInt32LE(sector, tables * SECTOR + cluster * 4);
    image.fill(cluster + 1, sector * SECTOR, sector * SECTOR + grainBytes);
  });
  return image;
}

/**
 * A space-efficient extent with grains of 4 KiB.
 * @param {{ lengthBytes: number, clusters?: readonly number[], zeroed?: readonly number[] }} settings
 */
export function makeSeSparse({ lengthBytes, clusters = [], zeroed = [] }) {
  const directory = 2;
  const tables = 3;
  const grains = tables + 64;
  const image = Buffer.alloc(grains * SECTOR + clusters.length * 4096);
  /** @param {number} at @param {bigint | number} value */
  const put = (at, value) => image.writeBigUInt64LE(BigInt(value), at);
  /** @type {readonly (readonly [number, bigint | number])[]} */
  const fields = [
    [0, 0xcafebaben],
    [8, 0x2_0000_0001n],
    [16, lengthBytes / SECTOR],
    [24, 8],
    [32, 64],
    [80, 1],
    [88, 1],
    [128, directory],
    [136, 1],
    [144, tables],
    [152, 64],
    [192, grains],
    [200, clusters.length * 8],
    [SECTOR, 0xcafecafen],
    [directory * SECTOR, 0x1000_0000_0000_0000n],
  ];
  for (const [at, value] of fields) put(at, value);
  for (const grain of zeroed) put(tables * SECTOR + grain * 8, 0x2000_0000_0000_0000n);
  clusters.forEach((grain, index) => {
    put(tables * SECTOR + grain * 8, 0x3000_0000_0000_0000n | (BigInt(index % 4096) << 48n) | BigInt(index >> 12));
    image.fill(grain + 1, grains * SECTOR + index * 4096, grains * SECTOR + (index + 1) * 4096);
  });
  return image;
}

/** The text of a descriptor. @param {string} createType @param {readonly string[]} extents @param {string} [parent] */
export function descriptorText(createType, extents, parent) {
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${CONTENT_ID}`,
    `parentCID=${parent === undefined ? NO_PARENT : CONTENT_ID}`,
    `createType="${createType}"`,
    parent === undefined ? '' : `parentFileNameHint="${parent}"`,
    '# Extent description',
    ...extents,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    'ddb.virtualHWVersion = "4"',
    'ddb.adapterType = "ide"',
    '',
  ].join('\n');
}

/** An image of one sparse extent. @param {ExtentSettings & { name?: string, backing?: string | undefined }} settings */
export function makeVmdk(settings) {
  const { lengthBytes, name = 'disk.vmdk', backing, isCompressed = false } = settings;
  const line = `RW ${lengthBytes / SECTOR} SPARSE "${name}"`;
  const createType = isCompressed ? 'streamOptimized' : 'monolithicSparse';
  return makeSparseExtent({ ...settings, descriptor: descriptorText(createType, [line], backing) });
}
