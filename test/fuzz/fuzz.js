/** Runs a range of cases over several lanes at once, and gathers what they find. */
import { formatCase } from './format-cases.js';
import { imageCase } from './image-cases.js';
import { Lane } from './lane.js';
import { luksCase } from './luks-cases.js';
import { qemuImages } from './qemu-images.js';
import { textCase } from './text-cases.js';

/** @typedef {import('./lane.js').Find} Find */
/** @typedef {'images' | 'luks' | 'formats' | 'texts'} Kind */

/**
 * @typedef {object} Range
 * @property {Kind} kind
 * @property {string} seed
 * @property {number} from The first index.
 * @property {number} count
 * @property {number} [jobs] How many run at once.
 * @property {number} [endMs] When no more are begun, in `Date.now()`.
 * @property {boolean} [usesQemu] Images of qemu-img, if it is there, too.
 * @property {string} [keep] A folder for the files of what is found.
 * @property {(find: Find) => void} [onFind]
 * @property {(next: number) => void} [onProgress] Every case before `next` was begun.
 */

/** Runs the cases: what was found, and the index to go on with. @param {Range} range */
export async function fuzz({
  kind,
  seed,
  from,
  count,
  jobs = 2,
  endMs = Infinity,
  usesQemu = false,
  keep,
  onFind,
  onProgress,
}) {
  const pool = kind === 'images' && usesQemu ? qemuImages() : [];
  /** @param {number} index */
  const makeCase = (index) => {
    if (kind === 'images') return imageCase(seed, index, pool);
    if (kind === 'formats') return formatCase(seed, index);
    return kind === 'luks' ? luksCase(seed, index) : textCase(seed, index);
  };
  /** @type {Find[]} */
  const finds = [];
  let next = from;
  const runLane = async () => {
    const lane = new Lane();
    try {
      while (next < from + count && Date.now() < endMs) {
        const index = next++;
        const one = makeCase(index);
        const find = await lane.run(one);
        if (find !== null) {
          finds.push(find);
          if (keep !== undefined) Lane.keep(one, keep);
          onFind?.(find);
        }
        onProgress?.(next);
      }
    } finally {
      await lane.end();
    }
  };
  await Promise.all(Array.from({ length: jobs }, runLane));
  return { finds, next };
}
