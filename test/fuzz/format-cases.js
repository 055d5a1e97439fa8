/** Cases of damaged images of other formats: the image, what was done to it, and the script that runs over it. */
import { makeQcow, makeQed } from '../helpers/format-images.js';
import { Random } from './random.js';

/** @typedef {import('./verdict.js').Case} Case */

/**
 * @typedef {object} Sample
 * @property {string} format
 * @property {Buffer} image
 * @property {readonly (readonly [number, 4 | 8])[]} fields Numbers of the header: where they are, and their length.
 * @property {readonly (readonly [number, number])[]} tables Ranges of entries of eight bytes: offset and length.
 * @property {boolean} isBigEndian
 */

const LENGTH_BYTES = 512 * 1024;

/** @type {readonly (readonly [number, 4 | 8])[]} */
const qedFields = [
  [4, 4],
  [8, 4],
  [12, 4],
  [16, 8],
  [24, 8],
  [32, 8],
  [40, 8],
  [48, 8],
  [56, 4],
  [60, 4],
];

/** @type {readonly Sample[]} */
const qedSamples = [
  makeQed({ lengthBytes: LENGTH_BYTES, clusters: [0, 1, 2, 9] }),
  makeQed({ lengthBytes: LENGTH_BYTES, clusters: [0, 100], needsCheck: true }),
  makeQed({ lengthBytes: LENGTH_BYTES, tableClusters: 4, backing: 'base.img', clusters: [3] }),
].map((image) => ({
  format: 'qed',
  image,
  fields: qedFields,
  tables: /** @type {const} */ ([
    [4096, 16],
    [12288, 80],
  ]),
  isBigEndian: false,
}));

/** @type {readonly (readonly [number, 4 | 8])[]} */
const qcowFields = [
  [8, 8],
  [16, 4],
  [24, 8],
  [32, 4],
  [36, 4],
  [40, 8],
];

/** @type {readonly Sample[]} */
const qcowSamples = [
  makeQcow({ lengthBytes: LENGTH_BYTES, clusters: [0, 1, 2, 9] }),
  makeQcow({ lengthBytes: LENGTH_BYTES, clusterBytes: 512, backing: 'base.img', clusters: [3, 200] }),
].map((image) => ({
  format: 'qcow',
  image,
  fields: qcowFields,
  tables: /** @type {const} */ ([
    [1072, 16],
    [4096, 512],
    [1536, 512],
  ]),
  isBigEndian: true,
}));

/** The images that are damaged. */
const samples = [...qedSamples, ...qcowSamples];

/** @type {readonly ((image: Buffer, sample: Sample, random: Random) => void)[]} */
const kinds = [
  (image, sample, random) => {
    const [at, bytes] = random.pick(sample.fields);
    putNumber(image, at, bytes, sample, random);
  },
  (image, sample, random) => {
    if (sample.tables.length === 0) return;
    const [from, bytes] = random.pick(sample.tables);
    putNumber(image, from + random.below(bytes / 8) * 8, 8, sample, random);
  },
  (image, _sample, random) => {
    const at = random.below(512);
    image[at] = (image[at] ?? 0) ^ (1 << random.below(8));
  },
  (image, _sample, random) => {
    random.bytes(random.between(1, 64)).copy(image, random.below(1024));
  },
  (image, _sample, random) => {
    random.bytes(random.between(1, 2000)).copy(image, random.below(image.length));
  },
  (image, _sample, random) => {
    image.copy(image, random.below(image.length), random.below(image.length), random.below(image.length));
  },
];

/**
 * Puts another number in the place of one.
 * @param {Buffer} image @param {number} at @param {4 | 8} bytes @param {Sample} sample @param {Random} random
 */
function putNumber(image, at, bytes, { isBigEndian }, random) {
  if (at + bytes > image.length) return;
  const read =
    bytes === 4 ? (isBigEndian ? 'readUInt32BE' : 'readUInt32LE') : isBigEndian ? 'readBigUInt64BE' : 'readBigUInt64LE';
  const old = BigInt(image[read](at));
  const value = BigInt.asUintN(
    bytes * 8,
    random.pick([
      0n,
      1n,
      2n,
      3n,
      7n,
      512n,
      4096n,
      65536n,
      BigInt(image.length),
      BigInt(image.length - (image.length % 4096)),
      old + 1n,
      old - 1n,
      old * 2n,
      old / 2n,
      old ^ (1n << BigInt(random.below(bytes * 8))),
      2n ** 31n,
      2n ** 32n - 1n,
      2n ** 53n,
      2n ** 62n,
      2n ** 63n,
      2n ** 64n - 1n,
      BigInt(random.below(image.length)),
      BigInt(random.below(256)) * 4096n,
    ]),
  );
  if (bytes === 4) image[isBigEndian ? 'writeUInt32BE' : 'writeUInt32LE'](Number(value), at);
  else image[isBigEndian ? 'writeBigUInt64BE' : 'writeBigUInt64LE'](value, at);
}

/**
 * The case of an index, with the format of its image.
 * @param {string} seed @param {number} index @returns {Case & { format: string }}
 */
export function formatCase(seed, index) {
  const random = new Random(`${seed} format ${index}`);
  const sample = random.pick(samples);
  const whole = Buffer.from(sample.image);
  for (let count = random.pick([0, 1, 1, 1, 1, 2, 3]); count > 0; count--) random.pick(kinds)(whole, sample, random);
  const cut = random.pick([random.below(700), random.below(whole.length)]);
  const image = random.chance(10) ? whole.subarray(0, cut) : whole;
  const isReadOnly = random.chance(25);
  const below = random.chance(10) ? 'file.driver=blkdebug,file.image.filename=disk.img' : 'file.filename=disk.img';
  return {
    name: `formats ${index}`,
    format: sample.format,
    args: [],
    files: [
      { name: 'disk.img', data: image },
      { name: 'base.img', data: Buffer.alloc(LENGTH_BYTES / 2, 0x33) },
    ],
    open: `open ${isReadOnly ? '-r ' : ''}-o driver=${sample.format},${below}`,
    isReadOnly,
    lines: Array.from({ length: random.between(2, 8) }, () => command(random)),
  };
}

/** @param {Random} random */
function command(random) {
  const place = () => `${random.below(LENGTH_BYTES)} ${random.pick([1, 512, 4096, random.between(1, 40_000)])}`;
  return random.pick([
    () => `read ${place()}`,
    () => `write -P ${random.below(256)} ${place()}`,
    () => `write -z ${place()}`,
    () => `write -c -P 3 ${random.below(128) * 4096} 4096`,
    () => `aio_write -P 1 ${place()}`,
    () => `discard ${place()}`,
    () => `truncate ${random.pick([0, 512, LENGTH_BYTES * 2, random.below(200_000)])}`,
    () => 'info',
    () => 'map',
    () => 'length',
    () => 'aio_flush',
    () => 'reopen',
    () => 'check',
    () => 'check -r all',
  ])();
}
