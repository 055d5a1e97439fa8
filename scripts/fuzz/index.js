/**
 * `node scripts/fuzz/index.js [images|texts]`: damages qcow2 images, blkdebug configs, `json:` names, option strings and command
 * lines, and runs ordinary commands over them. Nothing may crash the program, throw where nothing catches, hang for
 * more than five seconds, take memory beyond its caches and 256 MiB, or write to an image that was opened read-only.
 *
 *     --count N     how many cases of each kind (default 20,000)
 *     --seed S      any word; the same one gives the same cases (default 1)
 *     --from K      begins with case K: goes on where a run was stopped
 *     --minutes M   no batch begins after so long
 *     --keep DIR    copies what a find needs to DIR
 *
 * The images are made by qemu-img and qemu-io. Exits with 1 if there was a find. Each find names its case, which
 * `--from K --count 1` with the same seed runs alone.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runBatch } from './batch.js';
import { imageCase } from './image-cases.js';
import { makeTemplates } from './templates.js';
import { textCase } from './text-cases.js';
import { execFileSync } from 'node:child_process';
/** @import { Case, Find } from './batch.js' */

const BATCH_CASES = 100;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    minutes: { type: 'string', default: '600' },
    keep: { type: 'string' },
  },
});
const [first, end] = [Number(values.from), Number(values.from) + Number(values.count)];
const deadlineMs = performance.now() + Number(values.minutes) * 60_000;
const kinds = positionals.length > 0 ? positionals : ['images', 'texts'];

const folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'blkscope-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(2));

const templates = kinds.includes('images') ? makeTemplates(folder) : [];

/** @type {Readonly<Record<string, (index: number, parent: string) => Case>>} */
const makers = {
  images: (index, parent) => imageCase(templates, values.seed, index, parent),
  texts: (index, parent) => textCase(values.seed, index, parent),
};

let workshops = 0;
/** Runs cases in a folder of their own. @param {string} kind @param {readonly number[]} indexes @param {string} [keep] */
async function run(kind, indexes, keep) {
  const workshop = path.join(folder, `run-${(workshops += 1)}`);
  mkdirSync(workshop);
  try {
    if (kind === 'texts') {
      execFileSync('qemu-img', ['create', '-q', '-f', 'raw', 'disk.raw', '64k'], { cwd: workshop });
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', 'disk.qcow2', '1M'], { cwd: workshop });
    }
    const make = /** @type {(index: number, parent: string) => Case} */ (makers[kind]);
    const cases = indexes.map((index) => make(index, workshop));
    if (keep !== undefined) cpSync(workshop, keep, { recursive: true });
    return await runBatch(cases, workshop);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

/** @param {string} kind @param {number} index @param {Find} find */
function tell(kind, index, { one, what, output }) {
  console.log(`\n${kind} ${index}, seed ${values.seed}: ${what}\n  ${one.about}`);
  for (const line of one.lines) console.log(`    ${line.slice(0, 300)}`);
  console.log(output.slice(-1500).replaceAll(/^/gm, '  | '));
}

let finds = 0;
/** Runs a batch; what is behind a find is run as well. @param {string} kind @param {number[]} indexes */
async function examine(kind, indexes) {
  let rest = indexes;
  while (rest.length > 0) {
    const find = await run(kind, rest);
    if (find === null) return;
    const at = rest.findIndex((index) => find.one.name.endsWith(`-${index}`));
    const suspects = find.what.includes('MiB') ? rest : [/** @type {number} */ (rest[at])];
    let isConfirmed = false;
    for (const index of suspects) {
      const alone = await run(
        kind,
        [index],
        values.keep === undefined ? undefined : path.join(values.keep, `${kind}-${index}`),
      );
      if (alone === null) continue;
      isConfirmed = true;
      finds += 1;
      tell(kind, index, alone);
    }
    if (!isConfirmed) {
      finds += 1;
      tell(kind, rest[at] ?? 0, { ...find, what: `${find.what}, behind the ${at} cases before it, but not alone` });
    }
    rest = rest.slice(at + 1);
  }
}

for (const kind of kinds) {
  if (makers[kind] === undefined) throw new Error(`'${kind}' is neither images nor texts`);
  let next = first;
  let done = 0;
  const lane = async () => {
    while (next < end && performance.now() < deadlineMs) {
      const indexes = Array.from({ length: Math.min(BATCH_CASES, end - next) }, (_, at) => next + at);
      next += indexes.length;
      await examine(kind, indexes);
      done += indexes.length;
      if (process.stderr.isTTY) process.stderr.write(`\r${kind}: ${done} cases, ${finds} finds `);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  console.log(`${kind}: ${done} cases from ${first} on, seed ${values.seed}; next is --from ${next}`);
}
console.log(`${finds} finds`);
process.exit(finds > 0 ? 1 : 0);
