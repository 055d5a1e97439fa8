/**
 * `npm run sudden-death`: random scripts over raw and qcow2 disks of many geometries, whose blkscope is killed by
 * SIGKILL at a random moment. Afterwards `qemu-img check` may find leaked clusters and nothing worse (an image that
 * says that it is dirty is opened first, which repairs it), and every write that was acknowledged before an
 * acknowledged flush must read back. Writes behind that may be there or not; no sector may hold anything else, and
 * snapshots must be as they were.
 *
 * The host lives on: what a killed process has written is in the page cache and stays. So this shows in which order
 * blkscope writes, and that it holds back nothing at a flush. It does not show that data reached the disk in that
 * order, as a loss of power would.
 *
 *     node test/sudden-death/index.js --count 500 --seed 1 [--first INDEX]
 *
 * Needs a built blkscope, qemu-img and qemu-io. Counts deaths, not cases: a program that was faster is tried over.
 * Exits with 1 if something was found, and keeps the files. About half of the moments are chosen by the number of host
 * calls, which a seed repeats exactly; the others, by output and time, are different each time.
 */
import { parseArgs } from 'node:util';
import { caseSeed, runCase } from './cases.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
  },
});
const seed = Number(values.seed);
const count = Number(values.count);

let kills = 0;
let found = 0;
let index = Number(values.first);
/** @type {Map<string, number>} */
const tally = new Map();
for (; kills < count && index < Number(values.first) + 4 * count + 10; index++) {
  const { disk, death, feed, wasKilled, answered, commands, damage, folder } = await runCase(caseSeed(seed, index));
  if (wasKilled) kills += 1;
  const kind = wasKilled ? `${disk.format}, killed by ${death.by}` : 'not killed in time';
  tally.set(kind, (tally.get(kind) ?? 0) + 1);
  if (damage === null) continue;
  found += 1;
  console.log(`#${index}: ${damage}`);
  console.log(`  disk ${JSON.stringify(disk)}`);
  console.log(`  died by ${JSON.stringify(death)}, fed by ${feed}, ${answered} of ${commands} commands answered`);
  console.log(`  files: ${folder}; again: --seed ${seed} --first ${index} --count 1`);
}
for (const [kind, cases] of [...tally].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${kind}: ${cases}`);
console.log(`${kills} killed, ${found} with damage (seed ${seed}, cases up to ${index - 1})`);
process.exitCode = found > 0 ? 1 : 0;
