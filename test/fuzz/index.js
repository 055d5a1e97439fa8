/**
 * `npm run fuzz`: hostile images, LUKS headers, images of other formats and texts, and whether the program stands them.
 *
 *     node test/fuzz/index.js [images|luks|formats|texts]… [--seed N] [--from K] [--count N]
 *         [--minutes M] [--jobs N] [--keep FOLDER]
 *
 * Case K of a seed is always the same, so that a run goes on where another one ended, and `--from K --count 1` shows a
 * find again. With qemu-img on the machine a third of the images is made by it; `--no-qemu` leaves these out. Exits
 * with 1 if anything was found. Needs a build.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: 'Infinity' },
    jobs: { type: 'string', default: '2' },
    keep: { type: 'string' },
    'no-qemu': { type: 'boolean', default: false },
  },
});

const wanted = positionals.length === 0 ? ['images', 'luks', 'formats', 'texts'] : positionals;
const PROGRESS_CASES = 1000;
const endMs = Date.now() + Number(values.minutes) * 60_000;
let findCount = 0;

for (const kind of /** @type {const} */ (['images', 'luks', 'formats', 'texts'])) {
  if (!wanted.includes(kind)) continue;
  const started = Date.now();
  const { finds, next } = await fuzz({
    kind,
    seed: values.seed,
    from: Number(values.from),
    count: Number(values.count),
    jobs: Number(values.jobs),
    endMs,
    usesQemu: !values['no-qemu'],
    ...(values.keep === undefined ? {} : { keep: values.keep }),
    onFind: ({ name, what, after }) => {
      const context = after.length === 0 ? '' : ` (only after ${after.length} others from ${after[0]})`;
      console.log(`${name}: ${what}${context}`);
    },
    onProgress: (index) => {
      if (index % PROGRESS_CASES === 0) console.log(`${kind}: up to ${index} after ${seconds(started)} s`);
    },
  });
  findCount += finds.length;
  const cases = next - Number(values.from);
  console.log(
    `${kind}: ${cases} cases of seed ${values.seed} in ${seconds(started)} s, ${finds.length} finds; next: --from ${next}`,
  );
}
process.exitCode = findCount === 0 ? 0 : 1;

/** @param {number} since */
function seconds(since) {
  return Math.round((Date.now() - since) / 1000);
}
