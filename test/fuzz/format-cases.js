/** Cases of damaged images of other formats: the image, what was done to it, and the script that runs over it. */
import { makeQcow, makeQed } from '../helpers/format-images.js';
import { descriptorText, makeCowd, makeSeSparse, makeSparseExtent, makeVmdk } from '../helpers/vmdk-images.js';
import { Random } from './random.js';

/** @typedef {import('./verdict.js').Case} Case */

/**
 * @typedef {object} Sample
 * @property {string} format
 * @property {Buffer} image
 * @property {readonly (readonly [number, 4 | 8])[]} fields Numbers of the header: where they are, and their length.
 * @property {readonly (readonly [number, number])[]} tables Ranges of entries of eight bytes: offset and length.
 * @property {boolean} isBigEndian
 * @property {readonly { name: string, data: Buffer }[]} [files] The files beside the one that is damaged, `name`.
 * @property {string} [name] "disk.img" if it is left out.
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

/** @type {readonly (readonly [number, 4 | 8])[]} */
const vmdkFields = [
  [4, 4],
  [8, 4],
  [12, 8],
  [20, 8],
  [28, 8],
  [44, 4],
  [48, 8],
  [56, 8],
  [64, 8],
  [77, 4],
];

/** Tables and their directories, of images with one table of 512 entries. */
const vmdkTables = /** @type {const} */ ([
  [21 * 512, 16],
  [22 * 512, 256],
  [26 * 512, 16],
  [27 * 512, 256],
]);

const vmdkParent = { name: 'base.img', data: makeVmdk({ lengthBytes: LENGTH_BYTES / 2, clusters: [0, 3] }) };

/** @type {readonly Sample[]} */
const vmdkSamples = [
  makeVmdk({ lengthBytes: LENGTH_BYTES, clusters: [0, 1, 2, 9] }),
  makeVmdk({ lengthBytes: LENGTH_BYTES, clusters: [0, 3], zeroed: [1, 2], backing: 'base.img' }),
  makeVmdk({ lengthBytes: LENGTH_BYTES, clusters: [0, 2], isCompressed: true }),
  makeVmdk({ lengthBytes: LENGTH_BYTES, clusters: [0, 2], isCompressed: true, hasFooter: true }),
].map((image) => ({
  format: 'vmdk',
  image,
  fields: vmdkFields,
  tables: vmdkTables,
  isBigEndian: false,
  files: [vmdkParent],
}));

const splitText = descriptorText('vmfsSparse', [
  'RW 512 SPARSE "a.img"',
  'RW 100 FLAT "b.img" 20',
  'RW 128 VMFSSPARSE "c.img"',
  'RW 256 VMFS "b.img"',
  'RW 1024 SESPARSE "d.img"',
]);
const splitFiles = [
  { name: 'disk.img', data: Buffer.from(splitText) },
  { name: 'a.img', data: makeSparseExtent({ lengthBytes: LENGTH_BYTES / 2, clusters: [0, 2] }) },
  { name: 'b.img', data: Buffer.alloc(LENGTH_BYTES / 4, 0x44) },
  { name: 'c.img', data: makeCowd({ lengthBytes: LENGTH_BYTES / 8, clusters: [0, 2] }) },
  { name: 'd.img', data: makeSeSparse({ lengthBytes: LENGTH_BYTES, clusters: [0, 2], zeroed: [1] }) },
];

/**
 * A disk in several files, of which one is damaged.
 * @param {string} name @param {Pick<Sample, 'fields' | 'tables'>} parts
 */
const split = (name, { fields, tables }) => ({
  format: 'vmdk',
  name,
  image: splitFiles.find((file) => file.name === name)?.data ?? Buffer.alloc(0),
  fields,
  tables,
  isBigEndian: false,
  files: splitFiles.filter((file) => file.name !== name),
});

/** @type {readonly Sample[]} */
const splitSamples = [
  split('disk.img', { fields: [], tables: [] }),
  split('disk.img', { fields: [], tables: [] }),
  split('a.img', { fields: vmdkFields, tables: vmdkTables }),
  split('c.img', {
    fields: [4, 8, 12, 16, 20, 24].map((at) => /** @type {const} */ ([at, 4])),
    tables: [
      [4 * 512, 16],
      [5 * 512, 64],
    ],
  }),
  split('d.img', {
    fields: [0, 8, 16, 24, 32, 40, 48, 80, 128, 136, 144, 192, 512, 536].map((at) => /** @type {const} */ ([at, 8])),
    tables: [
      [2 * 512, 16],
      [3 * 512, 64],
    ],
  }),
];

/** The images that are damaged. */
const samples = [...qedSamples, ...qcowSamples, ...vmdkSamples, ...splitSamples];

/** @type {readonly ((image: Buffer, sample: Sample, random: Random) => void)[]} */
const kinds = [
  (image, sample, random) => {
    if (sample.fields.length === 0) {
      spoilText(image, random);
      return;
    }
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

/** Puts a word of descriptors over another one. @param {Buffer} image @param {Random} random */
function spoilText(image, random) {
  const words = [...image.toString('latin1').matchAll(/[\w."]+/g)];
  const { index } = random.pick(words);
  const word = random.pick([
    '0',
    '-1',
    '9',
    '99999999',
    '9223372036854775807',
    '18446744073709551616',
    '"',
    'FLAT',
    'SPARSE',
    'SESPARSE',
    '"disk.img"',
    '"/dev/zero"',
    'RW',
    '\n',
    '\n\n',
    '\0',
    'CID=',
    'parentCID',
    'parentFileNameHint="disk.img"',
    'createType="seSparse"',
  ]);
  image.write(word, index, 'latin1');
}

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
      { name: sample.name ?? 'disk.img', data: image },
      ...(sample.files ?? [{ name: 'base.img', data: Buffer.alloc(LENGTH_BYTES / 2, 0x33) }]),
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
