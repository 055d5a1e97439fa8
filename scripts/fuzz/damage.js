/** Damage to a qcow2 image: fields of the header, extensions, tables, compressed data, its length. Offsets are of the specification. */
/** @import { Random } from './random.js' */

/** Offset and bytes of the header's fields. */
const headerFields = /** @type {const} */ ([
  [4, 4],
  [8, 8],
  [16, 4],
  [20, 4],
  [24, 8],
  [32, 4],
  [36, 4],
  [40, 8],
  [48, 8],
  [56, 4],
  [60, 4],
  [64, 8],
  [72, 8],
  [80, 8],
  [88, 8],
  [96, 4],
  [100, 4],
  [104, 1],
]);

/** The parts of an address in a table entry: 56 bits without the lowest 9. */
const ADDRESS = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;

/** A value that code is wrong about: limits, the ends of the file, addresses of what is there. */
function interesting(/** @type {Random} */ random, /** @type {Buffer} */ image) {
  const cluster = 1n << BigInt(image.readUInt32BE(20) & 31);
  const length = BigInt(image.length);
  const addresses = [0n, 1n, 511n, 512n, cluster, cluster - 1n, length, length - 512n, length + cluster];
  const tables = [40, 48, 64].map((at) => image.readBigUInt64BE(at));
  const limits = [7, 8, 15, 16, 31, 32, 33, 48, 53, 55, 56, 57, 61, 62, 63].map((bit) => 1n << BigInt(bit));
  const value = random.pick([
    ...addresses,
    ...tables,
    ...limits,
    ...limits.map((limit) => limit - 1n),
    (1n << 64n) - 1n,
  ]);
  return random.chance(30) ? value | (1n << BigInt(random.pick([0, 62, 63]))) : value;
}

/** Writes a value into `bytes` bytes, as much of it as they hold. */
function put(
  /** @type {Buffer} */ image,
  /** @type {number} */ at,
  /** @type {number} */ bytes,
  /** @type {bigint} */ value,
) {
  if (at < 0 || at + bytes > image.length) return;
  for (let index = bytes - 1, rest = value; index >= 0; index--, rest >>= 8n) image[at + index] = Number(rest & 255n);
}

/** Another value for the word at an offset: an interesting one, or with bits turned over. */
function spoil(
  /** @type {Random} */ random,
  /** @type {Buffer} */ image,
  /** @type {number} */ at,
  /** @type {number} */ bytes,
) {
  if (at < 0 || at + bytes > image.length) return;
  if (random.chance(40)) {
    const bit = random.below(bytes * 8);
    const byte = at + bytes - 1 - (bit >> 3);
    image[byte] = /** @type {number} */ (image[byte]) ^ (1 << (bit & 7));
  } else {
    put(image, at, bytes, interesting(random, image));
  }
}

/** Where a table begins; 0, the header, if it is nowhere. */
function address(/** @type {Buffer} */ image, /** @type {number} */ at) {
  if (at < 0 || at + 8 > image.length) return 0;
  const value = Number(image.readBigUInt64BE(at) & ADDRESS);
  return value < image.length ? value : 0;
}

/** The word of some entry of a table that begins at `table`: small indexes are the ones in use. */
function entry(/** @type {Random} */ random, /** @type {number} */ table, /** @type {number} */ bytes) {
  return table + random.below(random.pick([2, 8, 64])) * bytes;
}

/** An L2 table: that of one of the first entries of the L1 table that have one. */
function l2Table(/** @type {Random} */ random, /** @type {Buffer} */ image) {
  const l1 = address(image, 40);
  const tables = Array.from({ length: 32 }, (_, index) => address(image, l1 + index * 8)).filter((table) => table > 0);
  return tables.length === 0 ? 0 : random.pick(tables);
}

/** @type {Readonly<Record<string, (random: Random, image: Buffer) => void>>} */
const damages = {
  header(random, image) {
    const [at, bytes] = random.pick(headerFields);
    spoil(random, image, at, bytes);
  },
  extensions(random, image) {
    const first = image.readUInt32BE(4) >= 3 ? image.readUInt32BE(100) : 72;
    spoil(random, image, first + random.below(40) * 4, 4);
  },
  'backing name'(random, image) {
    const at = Number(image.readBigUInt64BE(8) & 0xffff_ffffn);
    put(image, 16, 4, BigInt(random.pick([1, 1023, 1024, 65536])));
    spoil(random, image, at + random.below(16), 1);
  },
  'L1 table': (random, image) => spoil(random, image, entry(random, address(image, 40), 8), 8),
  'L2 table': (random, image) => spoil(random, image, entry(random, l2Table(random, image), 8), 8),
  'refcount table': (random, image) => spoil(random, image, entry(random, address(image, 48), 8), 8),
  'refcount block': (random, image) =>
    spoil(random, image, entry(random, address(image, address(image, 48)), 2), random.pick([1, 2, 8])),
  'snapshot table': (random, image) =>
    spoil(random, image, address(image, 64) + random.below(120), random.pick([1, 2, 4, 8])),
  'bitmap directory'(random, image) {
    // Its address is in the extension 0x23852875.
    for (let at = 72; at + 32 <= Math.min(image.length, 512); at += 8) {
      if (image.readUInt32BE(at) !== 0x2385_2875) continue;
      const directory = address(image, at + 24);
      const place = random.pick([at + 8 + random.below(24), directory + random.below(64), address(image, directory)]);
      spoil(random, image, place, random.pick([1, 4, 8]));
      return;
    }
    damages['header']?.(random, image);
  },
  'compressed data'(random, image) {
    const table = l2Table(random, image);
    for (let index = 0; index < 64 && table + index * 8 + 8 <= image.length; index++) {
      const value = image.readBigUInt64BE(table + index * 8);
      if ((value & COMPRESSED) === 0n) continue;
      const at = Number(value & 0xffff_ffffn) + random.below(24);
      spoil(random, image, at, 1);
      if (random.chance(50)) return;
    }
  },
  'exchanged words'(random, image) {
    const [a, b] = [random.below(image.length >> 3) * 8, random.below(Math.min(image.length, 65536) >> 3) * 8];
    const word = image.readBigUInt64BE(a);
    image.writeBigUInt64BE(image.readBigUInt64BE(b), a);
    image.writeBigUInt64BE(word, b);
  },
  noise(random, image) {
    const limit = random.chance(50) ? 1024 : image.length;
    for (let count = random.few(30); count > 0; count--)
      image[random.below(Math.min(limit, image.length))] = random.below(256);
  },
  nothing() {
    // What a script does to a sound image counts as well.
  },
};

const kinds = Object.keys(damages);

/** A damaged copy of an image, and what was done to it. */
export function damaged(/** @type {Random} */ random, /** @type {Buffer} */ image) {
  let copy = Buffer.from(image);
  const done = [];
  for (let count = random.few(4); count > 0; count--) {
    const kind = random.pick(kinds);
    damages[kind]?.(random, copy);
    done.push(kind);
  }
  if (random.chance(10)) {
    copy = copy.subarray(0, random.chance(30) ? random.below(600) : random.below(copy.length));
    done.push(`cut to ${copy.length}`);
  }
  return { image: copy, done };
}
