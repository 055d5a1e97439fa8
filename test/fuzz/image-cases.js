/** Cases of damaged images: which image, what was done to it, and the script that runs over it. */
import { damaged } from './damage.js';
import { imageCommands, openCommand } from './image-script.js';
import { makeQcow2 } from './qcow2-writer.js';
import { Random } from './random.js';

/** @typedef {import('./qcow2-writer.js').ImageFile} ImageFile */
/** @typedef {import('./verdict.js').Case} Case */

/** Magic numbers of formats, some of them known and not opened. */
const marks = [
  'QFI\xfb\0\0\0\x01',
  'QFI\xfb\0\0\0\x02',
  'QFI\xfb\0\0\0\x03',
  'KDMV',
  'COWD',
  'QED\0',
  'vhdxfile',
  'conectix',
  'LUKS\xba\xbe',
];

/**
 * The case of an index. `pool` are images that qemu-img made, where there is one: they take the place of every third
 * image.
 * @param {string} seed @param {number} index @param {readonly ImageFile[][]} pool @returns {Case}
 */
export function imageCase(seed, index, pool) {
  const random = new Random(`${seed} image ${index}`);
  const isReadOnly = random.chance(25);
  const isForeign = random.chance(33);
  const which = random.bits64();
  const own = makeQcow2(random);
  const files = isForeign && pool.length > 0 ? (pool[Number(which % BigInt(pool.length))] ?? own) : own;
  const [disk, ...others] = files;
  if (disk === undefined) throw new Error('an image without a file');
  const image = random.chance(2) ? noise(random) : damaged(disk.data, random);
  // The base of an image can be damaged as well.
  const rest = others.map(({ name, data }) =>
    random.chance(30) && data.length >= 512 && data.readUInt32BE(0) === 0x514649fb
      ? { name, data: damaged(data, random) }
      : { name, data },
  );
  const lengthBytes = image.length >= 32 ? Number(image.readBigUInt64BE(24)) : 0;
  const clusterBytes = 2 ** disk.data.readUInt32BE(20);
  return {
    name: `images ${index}`,
    args: [],
    files: [{ name: 'disk.img', data: image }, ...rest],
    open: openCommand(random, isReadOnly),
    isReadOnly,
    // What is made writable may be written to.
    lines: imageCommands(random, lengthBytes, clusterBytes).filter((line) => !isReadOnly || line !== 'reopen -w'),
  };
}

/** Bytes of no meaning behind the mark of a format. @param {Random} random */
function noise(random) {
  const head = Buffer.from(random.pick(marks), 'latin1');
  return Buffer.concat([head, random.bytes(random.pick([0, 10, 100, 512, 5000]))]);
}
