/**
 * Random scripts of qemu-io commands, with what each does to the disk, and what the disk may hold once some were
 * acknowledged.
 *
 * Without compressed writes: QEMU 7.2, and blkscope after it, puts them into clusters that were given back and taken by
 * others.
 */
import { DiskModel, SECTOR_BYTES } from './model.js';

/**
 * @typedef {import('./random.js').Random} Random
 * @typedef {import('./images.js').Disk} Disk
 */

/**
 * A command. `values` are those that its sectors may hold afterwards, beside the old one if it is not certain.
 * `unmaps`: it gives clusters back, whose sectors may hold anything as long as that is not flushed: other data may
 * already be in those clusters while the L2 table on disk still points to them (so in QEMU, too).
 * @typedef {{ line: string, kind: 'write' | 'aio' | 'truncate' | 'flush' | 'wait' | 'read', firstSector: number,
 *   sectorCount: number, values: number[], isCertain: boolean, unmaps: boolean }} Step
 */

/** Stands for any value at all. */
export const ANYTHING = -1;

/** @param {Random} random @param {Disk} disk @param {number} count @returns {Step[]} */
export function anyScript(random, disk, count) {
  /** @type {Step[]} */
  const steps = [];
  const state = { sectors: disk.lengthBytes / SECTOR_BYTES };
  let isAllocating = false;
  while (steps.length < count) {
    const step = anyStep(random, disk, state);
    // Clusters that are given back under a write which allocates there damage the image in QEMU, too.
    if (step.unmaps && isAllocating) steps.push(idle('wait', 'aio_flush'));
    if (step.unmaps || step.kind === 'wait') isAllocating = false;
    if (step.kind === 'aio') isAllocating = true;
    steps.push(step);
  }
  return steps;
}

/** @param {Random} random @param {Disk} disk @param {{ sectors: number }} state @returns {Step} */
function anyStep(random, disk, state) {
  const dice = random.fraction();
  if (dice < 0.1) return idle('flush', 'flush');
  if (dice < 0.14) return idle('wait', 'aio_flush');
  if (dice < 0.16 && disk.maxBytes > disk.lengthBytes) return truncation(random, disk, state);
  const range = anyRange(random, disk, state.sectors);
  const place = `${range.firstSector * SECTOR_BYTES} ${range.sectorCount * SECTOR_BYTES}`;
  if (dice < 0.18) return idle('read', `read -q ${place}`);
  const value = random.between(1, 0xaf);
  const certain = { ...range, values: [value], isCertain: true, unmaps: false };
  const zeroes = { ...certain, values: [0], unmaps: disk.format === 'qcow2' };
  if (dice < 0.24) return { ...zeroes, kind: 'write', line: `write -z ${random.pick(['', '-u '])}${place}` };
  if (dice < 0.27) return { ...zeroes, kind: 'aio', line: `aio_write -z ${random.pick(['', '-u '])}${place}` };
  if (dice < 0.32) {
    // Version 2 has no zero clusters: what the backing file has comes back.
    const values = disk.base === null ? [0] : [0, disk.base];
    return { ...certain, kind: 'write', values, isCertain: false, unmaps: zeroes.unmaps, line: `discard ${place}` };
  }
  if (dice < 0.55) return { ...certain, kind: 'aio', line: `aio_write -P ${value} ${place}` };
  if (dice < 0.6 && range.sectorCount > 1) {
    const first = random.between(1, range.sectorCount - 1) * SECTOR_BYTES;
    const parts = `${range.firstSector * SECTOR_BYTES} ${first} ${range.sectorCount * SECTOR_BYTES - first}`;
    return { ...certain, kind: 'write', line: `writev -P ${value} ${parts}` };
  }
  return { ...certain, kind: 'write', line: `write ${random.chance(0.1) ? '-f ' : ''}-P ${value} ${place}` };
}

/** @param {Step['kind']} kind @param {string} line @returns {Step} */
function idle(kind, line) {
  return { kind, line, firstSector: 0, sectorCount: 0, values: [], isCertain: false, unmaps: false };
}

/** @param {Random} random @param {Disk} disk @param {{ sectors: number }} state @returns {Step} */
function truncation(random, disk, state) {
  const most = disk.maxBytes / SECTOR_BYTES;
  const cluster = disk.clusterBytes / SECTOR_BYTES;
  // Shorter and later longer again, a disk holds zeroes there; but for what the last cluster had behind the end.
  state.sectors = Math.max(1, Math.floor(random.between(most >> 2, most) / cluster)) * cluster;
  const firstSector = state.sectors;
  const range = { firstSector, sectorCount: most - firstSector };
  const line = `truncate ${state.sectors * SECTOR_BYTES}`;
  return {
    ...range,
    kind: 'truncate',
    // In between, the backing file may show.
    values: disk.base === null ? [0] : [0, disk.base],
    isCertain: disk.base === null,

    unmaps: disk.format === 'qcow2',
    line,
  };
}

/**
 * Some sectors, whole clusters, or several of them; half of all in a small part of the disk.
 * @param {Random} random
 * @param {Disk} disk
 * @param {number} sectors
 */
function anyRange(random, disk, sectors) {
  const cluster = disk.clusterBytes / SECTOR_BYTES;
  const part = random.chance(0.5) ? Math.min(sectors, Math.max(64, 4 * cluster)) : sectors;
  let firstSector = random.between(0, part - 1);
  let sectorCount = random.between(1, random.pick([4, 16, 64, 256]));
  if (random.chance(0.4)) {
    firstSector -= firstSector % cluster;
    sectorCount = cluster * random.between(1, Math.max(1, Math.min(8, Math.floor(512 / cluster))));
  }
  return { firstSector, sectorCount: Math.min(sectorCount, sectors - firstSector) };
}

/**
 * The contents that the disk may have when the program died, having answered the first `replies.length` steps. What was
 * acknowledged before an acknowledged flush is certain, everything behind it may be there or not.
 * @param {Disk} disk @param {readonly Step[]} steps @param {readonly string[]} replies
 */
export function modelAfter(disk, steps, replies) {
  const model = new DiskModel(disk.maxBytes, contentOf(disk.before ?? disk.base ?? 0));
  const { lengthBytes } = disk;
  model.endWrite(model.beginWrite(lengthBytes, disk.maxBytes - lengthBytes, contentOf(0)), true);
  const answered = steps.slice(0, replies.length);
  const flushes = answered.findLastIndex(disk.cacheMode === 'writethrough' ? flushesWhenWrittenThrough : isFlush);
  /** @type {import('./model.js').ModelWrite[]} */
  let inFlight = [];
  for (const [index, step] of steps.entries()) {
    const isFlushed = index <= flushes;
    if (step.kind === 'wait') {
      for (const write of inFlight) model.endWrite(write, isFlushed);
      inFlight = [];
      continue;
    }
    const values = step.unmaps && !isFlushed ? [...step.values, ANYTHING] : step.values;
    const writes = values.map((value) =>
      model.beginWrite(step.firstSector * SECTOR_BYTES, step.sectorCount * SECTOR_BYTES, contentOf(value)),
    );
    if (step.kind === 'aio') {
      inFlight.push(...writes);
      continue;
    }
    const isDone = step.isCertain && !/failed/.test(replies[index] ?? '');
    for (const write of writes) model.endWrite(write, isFlushed && isDone);
  }
  return model;
}

/** @param {number} value @returns {import('../../src/search/model/content.ts').Content} */
function contentOf(value) {
  return value === ANYTHING ? { kind: 'anything' } : { kind: 'fill', value };
}

/** @param {Step} step */
const isFlush = ({ kind }) => kind === 'flush';

/** Writes that are written through flush; discards do not (so in QEMU). @param {Step} step */
function flushesWhenWrittenThrough(step) {
  return isFlush(step) || (step.kind === 'write' && step.line.startsWith('write'));
}
