/** Cases with damaged images: an image in a folder of its own, and an ordinary script over it. */
import { copyFileSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { damaged } from './damage.js';
import { Random } from './random.js';
/** @import { Template } from './templates.js' */
/** @import { Case } from './batch.js' */

/** A share of the images is opened in each of these ways. */
const ways = [
  '-o driver=qcow2',
  '-o driver=qcow2',
  '-o driver=qcow2,overlap-check=all',
  '-o driver=qcow2,overlap-check=none,discard=unmap',
  '-o driver=qcow2,l2-cache-size=4096,refcount-cache-size=4096',
  '-o driver=qcow2,lazy-refcounts=on,detect-zeroes=unmap,discard=unmap',
  '-n -o driver=qcow2',
  '-s -o driver=qcow2',
  '-C -o driver=qcow2',
  '',
];
const READ_ONLY = '-r -o driver=qcow2';
const LONG_AGO = new Date('2001-02-03T04:05:06Z');

/** @param {Random} random @param {Template} template */
function scriptLines(random, { bytes, clusterBytes }) {
  const place = () => {
    const near = random.pick([0, clusterBytes, 65536, bytes / 2, bytes - clusterBytes]);
    const at = random.chance(60) ? near : random.below(bytes / 512) * 512;
    return Math.max(0, Math.min(Math.floor(at) + random.pick([0, 0, 512, -512, 1000]), bytes - 512));
  };
  const length = () => random.pick([512, 700, 4096, 65536, clusterBytes, 3 * clusterBytes, 200_000]);
  const range = () => {
    const from = place();
    return `${from} ${Math.min(length(), bytes - from)}`;
  };
  const commands = [
    () => `read ${range()}`,
    () => `read ${range()}`,
    () => `write -P ${random.below(256)} ${range()}`,
    () => `write -P ${random.below(256)} ${range()}`,
    () => `aio_write -q ${range()}`,
    () => `write -z ${range()}`,
    () => `write -z -u ${range()}`,
    () => `write -c ${Math.floor(place() / clusterBytes) * clusterBytes} ${clusterBytes}`,
    () => `discard ${range()}`,
    () =>
      `truncate ${random.chance(20) ? bytes * 4 : bytes + random.pick([-1, 0, 1]) * random.pick([512, clusterBytes, 65536])}`,
    () => `read -b ${random.below(4) * 512} 512`,
    () => `write -b ${random.below(4) * 512} 512`,
    () => 'flush',
    () => 'map',
    () => 'info',
    () => `alloc ${range()}`,
    () => 'reopen',
    () => 'reopen -r',
    () => 'aio_flush',
  ];
  return Array.from({ length: 4 + random.below(10) }, () => random.pick(commands)());
}

/**
 * @param {readonly Template[]} templates @param {number | string} seed @param {number} index @param {string} parent
 * @returns {Case}
 */
export function imageCase(templates, seed, index, parent) {
  const random = new Random(seed, 'image', index);
  const template = random.pick(templates);
  const { image, done } = damaged(random, template.image);
  const name = `image-${index}`;
  const folder = path.join(parent, name);
  mkdirSync(folder);
  const file = path.join(folder, 'disk.img');
  writeFileSync(file, image);
  for (const other of template.files) copyFileSync(path.join(template.folder, other), path.join(folder, other));
  const isReadOnly = random.chance(15);
  const lines = scriptLines(random, template);
  if (isReadOnly) utimesSync(file, LONG_AGO, LONG_AGO);
  return {
    name,
    about: `${template.name}: ${done.join(', ')}`,
    lines: [`open ${isReadOnly ? READ_ONLY : random.pick(ways)} ${name}/disk.img`, ...lines, 'close'],
    complaint: () => {
      if (!isReadOnly) return null;
      // `reopen` can make it writable; that is asked for.
      if (lines.includes('reopen')) return null;
      const isSame = readFileSync(file).equals(image) && statSync(file).mtimeMs === LONG_AGO.getTime();
      return isSame ? null : 'a read-only image was written to';
    },
  };
}
