/** The disks that blkscope dies over: raw files and qcow2 images of many geometries, made by qemu-img and qemu-io. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { SECTOR_BYTES } from './model.js';

/** @typedef {import('./random.js').Random} Random */

/**
 * `create`: what `qemu-img create -o` is given. `options`: of the opened node. `before` is the value that all of the
 * image holds, `base` the one of its backing file; null if there is none.
 * @typedef {{
 *   format: 'raw' | 'qcow2', lengthBytes: number, maxBytes: number, clusterBytes: number,
 *   create: Record<string, string>, options: Record<string, string>, cacheMode: 'writeback' | 'writethrough',
 *   before: number | null, base: number | null, hasSnapshot: boolean,
 * }} Disk
 */

const OLD = 0xee;
const BASE = 0xbb;

/** @param {number} bytes @param {number} unit */
const alignUp = (bytes, unit) => Math.ceil(bytes / unit) * unit;

/** @param {Random} random @returns {Disk} */
export function anyDisk(random) {
  return random.chance(0.12) ? anyRawDisk(random) : anyQcow2Disk(random);
}

/** @param {Random} random */
const anyCacheMode = (random) => (random.chance(0.15) ? /** @type {const} */ ('writethrough') : 'writeback');

/** @param {Random} random @returns {Disk} */
function anyRawDisk(random) {
  const lengthBytes = random.between(16, 4096) * SECTOR_BYTES;
  return {
    format: 'raw',
    lengthBytes,
    maxBytes: alignUp(2 * lengthBytes, 4096),
    clusterBytes: 4096,
    create: {},
    options: {},
    cacheMode: anyCacheMode(random),
    before: random.chance(0.5) ? OLD : null,
    base: null,
    hasSnapshot: false,
  };
}

/** @param {Random} random @returns {Disk} */
function anyQcow2Disk(random) {
  const bits = random.pick([9, 9, 10, 12, 12, 14, 16, 16, 18, 21]);
  const clusterBytes = 2 ** bits;
  const mostSectors = Math.min(24 << 20, Math.max(1 << 20, 24 * clusterBytes)) / SECTOR_BYTES;
  const lengthBytes = random.between(Math.ceil(mostSectors / 4), mostSectors) * SECTOR_BYTES;
  /** @type {Record<string, string>} */
  const create = { cluster_size: String(clusterBytes) };
  const isOld = random.chance(0.12);
  if (isOld) create.compat = '0.10';
  const before = random.chance(0.4) ? OLD : null;
  const base = random.chance(0.25) ? BASE : null;
  const hasDataFile = !isOld && base === null && random.chance(0.12);
  const hasSnapshot = before !== null && !hasDataFile && random.chance(0.6);
  if (!isOld) {
    create.refcount_bits = random.pick(hasSnapshot ? ['2', '8', '16', '64'] : ['1', '2', '4', '16', '16', '32', '64']);
    if (random.chance(0.3)) create.lazy_refcounts = 'on';
    if (bits >= 14 && random.chance(0.35)) create.extended_l2 = 'on';
    if (random.chance(0.2)) create.compression_type = 'zstd';
    if (hasDataFile) create.data_file = 'data.raw';
    if (hasDataFile && random.chance(0.5)) create.data_file_raw = 'on';
  }
  if (base === null && random.chance(0.1)) create.preallocation = 'metadata';
  const options = anyOptions(random, clusterBytes);
  if (isOld) delete options['lazy-refcounts'];
  return {
    format: 'qcow2',
    lengthBytes,
    // What a snapshot of another length holds, qemu-img does not tell. Version 2 cannot hide what a backing file has.
    maxBytes: hasSnapshot || (isOld && base !== null) ? lengthBytes : alignUp(2 * lengthBytes, clusterBytes),
    clusterBytes,
    create,
    options,
    cacheMode: anyCacheMode(random),
    before,
    base,
    hasSnapshot,
  };
}

/**
 * Small caches most of all: they write tables out while requests run.
 * @param {Random} random
 * @param {number} clusterBytes
 */
function anyOptions(random, clusterBytes) {
  /** @type {Record<string, string>} */
  const options = {};
  if (random.chance(0.5)) options['l2-cache-size'] = String(clusterBytes * random.between(1, 4));
  if (random.chance(0.4)) options['refcount-cache-size'] = String(clusterBytes * 4);
  if (random.chance(0.3)) options['l2-cache-entry-size'] = String(Math.min(clusterBytes, random.pick([512, 4096])));
  if (random.chance(0.2)) options['lazy-refcounts'] = random.pick(['on', 'off']);
  if (random.chance(0.2)) options['detect-zeroes'] = random.pick(['on', 'unmap']);
  if (random.chance(0.2)) options['pass-discard-other'] = 'on';
  return options;
}

/** The name of the image in its folder. @param {Disk} disk */
export const imageName = ({ format }) => `disk.${format}`;

/** Makes the files of a disk in a folder. @param {Disk} disk @param {string} folder */
export function makeDisk(disk, folder) {
  const name = imageName(disk);
  if (disk.base !== null) {
    qemu(folder, 'qemu-img', 'create', '-q', '-f', 'raw', 'base.raw', String(disk.lengthBytes));
    fill(folder, 'raw', 'base.raw', disk.base, disk.lengthBytes);
  }
  const create = Object.entries(disk.create).map(([key, value]) => `${key}=${value}`);
  if (disk.base !== null) create.push('backing_file=base.raw', 'backing_fmt=raw');
  const options = create.length > 0 ? ['-o', create.join(',')] : [];
  qemu(folder, 'qemu-img', 'create', '-q', '-f', disk.format, ...options, name, String(disk.lengthBytes));
  if (disk.before !== null) fill(folder, disk.format, name, disk.before, disk.lengthBytes);
  if (disk.hasSnapshot) qemu(folder, 'qemu-img', 'snapshot', '-c', 'before', name);
}

/** @param {string} folder @param {string} format @param {string} name @param {number} value @param {number} bytes */
function fill(folder, format, name, value, bytes) {
  qemu(folder, 'qemu-io', '-f', format, '-c', `write -q -P ${value} 0 ${bytes}`, name);
}

/** @param {string} folder @param {string} command @param {string[]} args */
function qemu(folder, command, ...args) {
  execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** How blkscope is to open it. @param {Disk} disk */
export function openArguments(disk) {
  const options = Object.entries(disk.options).map(([key, value]) => `${key}=${value}`);
  const image = [`driver=${disk.format}`, `file.filename=${imageName(disk)}`, ...options].join(',');
  return ['-t', disk.cacheMode, '-d', 'unmap', '--image-opts', image];
}

/** Whether the image says that its refcounts are not to be trusted. @param {Disk} disk @param {string} folder */
export function isDirty(disk, folder) {
  if (disk.format !== 'qcow2') return false;
  const header = Buffer.alloc(80);
  const fd = openSync(path.join(folder, imageName(disk)), 'r');
  readSync(fd, header, 0, header.length, 0);
  closeSync(fd);
  return header.readUInt32BE(4) >= 3 && (header.readUInt32BE(76) & 1) !== 0;
}
