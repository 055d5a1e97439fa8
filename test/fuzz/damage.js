/**
 * Damage to a qcow2 image: wrong fields, offsets that point at other tables, turned bits, lost and misplaced clusters.
 */
import { headerFields, regionsOf } from './qcow2-regions.js';

/** @typedef {import('./random.js').Random} Random */
/** @typedef {import('./qcow2-regions.js').Region} Region */

/**
 * The image that one damage works on.
 * @typedef {{ image: Buffer, regions: Region[], clusterBytes: number, random: Random }} Patient
 */

/** @type {readonly (readonly [weight: number, (patient: Patient) => Buffer | void])[]} */
const kinds = [
  [30, damageWord],
  [18, damageHeaderField],
  [8, damageFeatureBits],
  [10, flipBits],
  [6, overwriteBytes],
  [6, misplaceCluster],
  [5, damageExtension],
  [4, changeLength],
  [2, rename],
];
const total = kinds.reduce((sum, [weight]) => sum + weight, 0);

/** The image with one to four damages; now and then with none. @param {Buffer} sound @param {Random} random */
export function damaged(sound, random) {
  const clusterBytes = 2 ** sound.readUInt32BE(20);
  const regions = regionsOf(sound);
  /** @type {Buffer} */
  let image = Buffer.from(sound);
  for (let count = random.pick([0, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4]); count > 0; count--) {
    image = pickKind(random)({ image, regions, clusterBytes, random }) ?? image;
  }
  return image;
}

/** @param {Random} random */
function pickKind(random) {
  let at = random.below(total);
  for (const [weight, kind] of kinds) {
    at -= weight;
    if (at < 0) return kind;
  }
  return damageWord;
}

/** A region, each name as likely as any other. @param {Patient} patient @returns {Region} */
function pickRegion({ regions, random }) {
  const name = random.pick([...new Set(regions.map((region) => region.name))]);
  return random.pick(regions.filter((region) => region.name === name));
}

/** A number at an edge of some check. @param {Patient} patient @param {bigint} old @returns {bigint} */
function badValue({ image, regions, clusterBytes, random }, old) {
  const cluster = BigInt(clusterBytes);
  const flags = random.chance(60) ? old & (3n << 62n) : 0n;
  const offset = BigInt(random.pick(regions).offset);
  const end = BigInt(Math.ceil(image.length / clusterBytes)) * cluster;
  return random.pick([
    () => 0n,
    () => -1n,
    () => 1n,
    () => 1n << 63n,
    () => (1n << 63n) - 1n,
    () => (1n << 63n) - cluster,
    () => (1n << 62n) | old,
    () => BigInt(random.pick([0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 2 ** 53, 2 ** 53 - 512])),
    () => 1n << BigInt(random.below(64)),
    () => (1n << BigInt(random.below(64))) - 1n,
    () => old + 1n,
    () => old - 1n,
    () => old * 2n,
    () => old + 512n,
    () => old + cluster,
    () => old - cluster,
    () => old ^ (1n << BigInt(random.below(64))),
    () => offset | flags,
    () => offset | flags,
    () => (offset - (offset % cluster)) | flags,
    () => end | flags,
    () => (end - cluster) | flags,
    () => (1n << 40n) | flags,
    () => 0x00ff_ffff_ffff_fe00n | flags,
    () => (0x00ff_ffff_ffff_fe00n & -cluster) | flags,
    () => random.bits64(),
    () => BigInt(random.below(256)),
  ])();
}

/** @param {Buffer} image @param {number} at @param {number} bytes */
function readWord(image, at, bytes) {
  let value = 0n;
  for (let index = 0; index < bytes; index++) value = (value << 8n) | BigInt(image[at + index] ?? 0);
  return value;
}

/** @param {Buffer} image @param {number} at @param {number} bytes @param {bigint} value */
function writeWord(image, at, bytes, value) {
  for (let index = 0; index < bytes && at + index < image.length; index++) {
    image[at + index] = Number((value >> BigInt(8 * (bytes - 1 - index))) & 0xffn);
  }
}

/** @param {Patient} patient @param {number} at @param {number} bytes */
function spoil(patient, at, bytes) {
  writeWord(patient.image, at, bytes, badValue(patient, readWord(patient.image, at, bytes)));
}

/** @param {Patient} patient */
function damageWord(patient) {
  const { random } = patient;
  const { offset, bytes, wordBytes } = pickRegion(patient);
  const wordCount = Math.max(1, Math.floor(bytes / wordBytes));
  const index = random.chance(70) ? random.below(Math.min(12, wordCount)) : random.below(wordCount);
  spoil(patient, offset + index * wordBytes, wordBytes);
}

/** @param {Patient} patient */
function damageHeaderField(patient) {
  const [at, bytes] = patient.random.pick(headerFields);
  spoil(patient, at, bytes);
}

/** Incompatible, compatible, autoclear: the bits that mean something. @param {Patient} patient */
function damageFeatureBits({ image, random }) {
  const at = random.pick([72, 72, 80, 88]);
  writeWord(image, at, 8, readWord(image, at, 8) ^ (1n << BigInt(random.below(6))));
}

/** @param {Patient} patient */
function flipBits(patient) {
  const { image, random } = patient;
  const { offset, bytes } = pickRegion(patient);
  for (let count = random.between(1, 8); count > 0; count--) {
    const at = offset + random.below(bytes);
    if (at < image.length) image[at] = (image[at] ?? 0) ^ (1 << random.below(8));
  }
}

/** @param {Patient} patient */
function overwriteBytes(patient) {
  const { image, random } = patient;
  const { offset, bytes } = pickRegion(patient);
  const start = offset + random.below(bytes);
  const count = random.between(1, random.pick([8, 64, bytes]));
  image.fill(
    random.pick([Buffer.alloc(1), Buffer.from([255]), random.bytes(16)]),
    start,
    Math.min(image.length, start + count),
  );
}

/** A cluster over another one. @param {Patient} patient */
function misplaceCluster(patient) {
  const { image, clusterBytes, random } = patient;
  const from = random.chance(50) ? pickRegion(patient).offset : random.below(image.length);
  const to = random.chance(70) ? pickRegion(patient).offset : random.below(image.length);
  Buffer.from(image.subarray(from, from + clusterBytes)).copy(image, to);
}

const extensionTypes = [0, 0xe2792aca, 0x6803f857, 0x0537be77, 0x23852875, 0x44415441, 1];

/** The first header extension becomes another one, or another length. @param {Patient} patient */
function damageExtension(patient) {
  const { image, random } = patient;
  if (image.length < 144) return;
  const at = image.readUInt32BE(4) === 2 ? 72 : 112;
  if (random.chance(70)) image.writeUInt32BE(random.pick(extensionTypes), at);
  const length = random.pick([0, 1, 8, 15, 16, 24, 47, 48, 96, 500, 65536, 0xffffffff]);
  if (random.chance(70)) image.writeUInt32BE(length, at + 4);
  if (random.chance(30)) random.bytes(24).copy(image, at + 8);
}

/** Cut off, or longer. @param {Patient} patient */
function changeLength(patient) {
  const { image, clusterBytes, random } = patient;
  const clusters = Math.ceil(image.length / clusterBytes);
  const bytes = random.pick([
    () => random.below(600),
    () => random.below(image.length + 1),
    () => random.below(clusters) * clusterBytes,
    () => image.length - random.between(1, Math.min(image.length, 512)),
    () => pickRegion(patient).offset,
    () => image.length + random.between(1, 2000),
  ])();
  return Buffer.concat([image.subarray(0, bytes), Buffer.alloc(Math.max(0, bytes - image.length))]);
}

const names = [
  'disk.img',
  '',
  'json:{',
  'json:{"driver":"null-co","size":4096}',
  'blkdebug::disk.img',
  'none',
  'a:b',
  '\xff\xfe',
];

/** Another backing file: itself, none, one by options. @param {Patient} patient */
function rename({ image, random }) {
  const name = Buffer.from(random.pick(names), 'latin1');
  const at = 400;
  if (image.length < at + name.length) return;
  name.copy(image, at);
  image.writeBigUInt64BE(BigInt(at), 8);
  image.writeUInt32BE(name.length, 16);
}
