/** Cases of damaged LUKS volumes: which volume, what was done to its header, and the script that runs over it. */
import { makeVolume } from '../helpers/luks-volume.js';
import { Random } from './random.js';

/** @typedef {import('./verdict.js').Case} Case */

const DATA_BYTES = 64 * 1024;
const HEADER_BYTES = 592;
const SLOTS = 208;
const SLOT_BYTES = 48;
/** Numbers of four bytes, the iterations aside. */
const numbers = [104, 108, ...slotFields(0), ...slotFields(40), ...slotFields(44)];
/** Iterations: of the master key, and of each slot. */
const iterations = [164, ...slotFields(4)];
const names = [8, 40, 72];
const words = [
  'aes',
  'serpent',
  'twofish',
  'cast5',
  'des',
  'xts-plain64',
  'cbc-plain',
  'cbc-essiv:sha256',
  'cbc-essiv:md5',
  'ctr-essiv:ripemd160',
  'ecb-plain64',
  'xts-essiv',
  'xts-',
  '-',
  '-:',
  'cbc-benbi',
  'sha1',
  'sha512',
  'md5',
  'whirlpool',
  '__proto__',
  'constructor',
  '\xff\xfe',
  '',
];

/** The place of a field in each slot. @param {number} offset */
function slotFields(offset) {
  return Array.from({ length: 8 }, (_, slot) => SLOTS + slot * SLOT_BYTES + offset);
}

/** @type {Buffer[]} */
const sound = [];

/** The volumes that are damaged; made with the first case. */
function volumes() {
  if (sound.length === 0) {
    sound.push(
      makeVolume(),
      makeVolume({ cipher: 'aes-xts-plain64', keyBytes: 32, hash: 'sha1', passphrases: ['other', 'hunter2'] }),
      makeVolume({ cipher: 'aes-cbc-plain64', keyBytes: 32, hash: 'sha512', passphrases: ['a', undefined, 'hunter2'] }),
    );
  }
  return sound;
}

/** @type {readonly ((volume: Buffer, random: Random) => void)[]} */
const kinds = [
  (volume, random) => {
    const at = random.pick(numbers);
    volume.writeUInt32BE(badNumber(volume.readUInt32BE(at), random), at);
  },
  (volume, random) => {
    // None that would take long: the program computes up to 2^28 of them, as QEMU does, and can be interrupted.
    const value = random.pick([0, 1, 999, 1001, 3000, 2 ** 28 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]);
    volume.writeUInt32BE(value, random.pick(iterations));
  },
  (volume, random) => {
    const word = Buffer.from(random.pick(words), 'latin1');
    const at = random.pick(names);
    if (random.chance(70)) volume.fill(0, at, at + 32);
    word.copy(volume, at);
  },
  (volume, random) => {
    const at = random.pick(names);
    volume.fill(random.pick(['a', ':', '-', '\0']), at, at + 32);
  },
  (volume, random) => {
    const at = random.below(HEADER_BYTES);
    volume[at] = (volume[at] ?? 0) ^ (1 << random.below(8));
  },
  (volume, random) => {
    random.bytes(random.between(1, 64)).copy(volume, random.below(HEADER_BYTES));
  },
  (volume, random) => {
    const [from, to] = [SLOTS + random.below(8) * SLOT_BYTES, SLOTS + random.below(8) * SLOT_BYTES];
    volume.copy(volume, to, from, from + SLOT_BYTES);
  },
  (volume, random) => {
    random.bytes(random.between(1, 2000)).copy(volume, random.between(HEADER_BYTES, 70_000));
  },
];

/** @param {number} old @param {Random} random */
function badNumber(old, random) {
  const value = random.pick([
    0,
    1,
    7,
    8,
    15,
    16,
    24,
    32,
    33,
    64,
    4000,
    old + 1,
    old - 1,
    old * 2,
    0xdead,
    0x00ac71f3,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32 - 128,
    random.below(2 ** 32),
  ]);
  return ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
}

/** The case of an index. @param {string} seed @param {number} index @returns {Case} */
export function luksCase(seed, index) {
  const random = new Random(`${seed} luks ${index}`);
  const whole = Buffer.concat([random.pick(volumes()), Buffer.alloc(DATA_BYTES)]);
  for (let count = random.pick([0, 1, 1, 1, 1, 2, 3]); count > 0; count--) {
    random.pick(kinds)(whole, random);
  }
  boundIterations(whole);
  const cut = random.pick([random.below(700), random.below(whole.length)]);
  const volume = random.chance(10) ? whole.subarray(0, cut) : whole;
  const isReadOnly = random.chance(25);
  const below = random.chance(10) ? 'file.driver=blkdebug,file.image.filename=disk.img' : 'file.filename=disk.img';
  return {
    name: `luks ${index}`,
    args: ['--object', 'secret,id=s,data=hunter2'],
    files: [{ name: 'disk.img', data: volume }],
    open: `open ${isReadOnly ? '-r ' : ''}-o driver=luks,key-secret=s,${below}`,
    isReadOnly,
    lines: Array.from({ length: random.between(2, 6) }, () => command(random)),
  };
}

/** Damage elsewhere may hit iterations, too: none may be left that take long. @param {Buffer} volume */
function boundIterations(volume) {
  for (const at of iterations) {
    const count = volume.readUInt32BE(at);
    if (count > 5000 && count <= 2 ** 28) volume.writeUInt32BE(2 ** 32 - 1, at);
  }
}

/** @param {Random} random */
function command(random) {
  const place = () => `${random.below(DATA_BYTES)} ${random.pick([1, 512, 4096, random.between(1, 20_000)])}`;
  return random.pick([
    () => `read ${place()}`,
    () => `write -P ${random.below(256)} ${place()}`,
    () => `write -z ${place()}`,
    () => `aio_write -P 1 ${place()}`,
    () => `discard ${place()}`,
    () => `truncate ${random.pick([0, 512, DATA_BYTES * 2, random.below(200_000)])}`,
    () => 'info',
    () => 'map',
    () => 'length',
    () => 'aio_flush',
    () => 'reopen',
  ])();
}
