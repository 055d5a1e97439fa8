/** One case: a random disk, a random script, a random moment of death, and what was wrong afterwards. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rehearse, runUntil } from './death.js';
import { anyDisk, makeDisk, openArguments } from './images.js';
import { makeRandom } from './random.js';
import { anyScript } from './script.js';
import { findDamage } from './verify.js';

/** The answer to a command, more or less. */
const REPLY_BYTES = 90;

/** @typedef {import('./death.js').Death} Death */

/**
 * `wasKilled`: it did not come to its own end first. `damage`: what was found, null if all is well; then `folder` is
 * kept, with the disk as it was at the death in `dead` and before it in `fresh`.
 * @typedef {{
 *   disk: import('./images.js').Disk, death: Death, feed: import('./death.js').Feed, wasKilled: boolean,
 *   answered: number, commands: number, damage: string | null, folder: string,
 * }} Outcome
 */

/** The seed of one case out of a run. @param {number} seed @param {number} index */
export const caseSeed = (seed, index) => (Math.imul(seed, 1_000_003) + index) >>> 0;

/** @param {number} seed @returns {Promise<Outcome>} */
export async function runCase(seed) {
  const random = makeRandom(seed);
  const disk = anyDisk(random);
  const steps = anyScript(random, disk, random.between(20, 300));
  const feed = random.pick(/** @type {const} */ (['file', 'pipe', 'asked']));
  const repairsBy = random.pick(/** @type {const} */ (['blkscope', 'qemu-io']));
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-death-'));
  const places = {
    fresh: path.join(folder, 'fresh'),
    dead: path.join(folder, 'dead'),
    work: path.join(folder, 'work'),
  };
  mkdirSync(places.fresh);
  makeDisk(disk, places.fresh);
  copy(places.fresh, places.work);
  const run = { args: openArguments(disk), lines: steps.map(({ line }) => line), feed, folder: places.work };

  /** @param {import('./death.js').End} end */
  const damageAfter = (end) =>
    end.stderr === '' ? findDamage(disk, places.work, steps, end.replies, repairsBy) : end.stderr;

  /** @type {Death} */
  let death;
  let rehearsalDamage = null;
  if (random.chance(0.5)) {
    // How many calls there are shows only a run to the end, whose disk must be all right, too.
    const rehearsal = await rehearse(run);
    rehearsalDamage = damageAfter(rehearsal);
    rmSync(places.work, { recursive: true });
    copy(places.fresh, places.work);
    death = { by: 'calls', at: random.between(1, Math.max(1, rehearsal.calls)), tears: random.chance(0.4) };
  } else {
    death = anyDeath(random, steps.length);
  }
  const end = await runUntil(run, death);
  copy(places.work, places.dead);
  const damage = rehearsalDamage === null ? damageAfter(end) : `without being killed: ${rehearsalDamage}`;
  if (damage === null) rmSync(folder, { recursive: true });
  const wasKilled = end.signal === 'SIGKILL';
  return { disk, death, feed, wasKilled, answered: end.replies.length, commands: steps.length, damage, folder };
}

/** @param {import('./random.js').Random} random @param {number} commands @returns {Death} */
function anyDeath(random, commands) {
  if (random.chance(0.6)) return { by: 'output', at: random.between(1, commands * REPLY_BYTES) };
  return { by: 'time', at: random.between(0, random.pick([3, 10, 30, 100])) };
}

/** @param {string} from @param {string} to */
function copy(from, to) {
  cpSync(from, to, { recursive: true });
}
