/** The command files that the programs are measured with. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const MiB = 2 ** 20;

/**
 * Every second command writes 4 KiB, the next reads and verifies it: spread over 64 MiB.
 * @param {string} folder
 * @param {number} commands
 */
export function smallRequests(folder, commands) {
  const file = path.join(folder, `small-${commands}.txt`);
  const lines = [];
  for (let index = 0; index < commands / 2; index++) {
    const offset = ((index * 7919) % 16384) * 4096;
    lines.push(`write -P ${index % 256} ${offset} 4k`, `read -P ${index % 256} ${offset} 4k`);
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/**
 * Writes of 4 KiB that each need a new cluster of 16 KiB, spread over a GiB.
 * @param {string} folder
 * @param {number} commands
 */
export function allocatingWrites(folder, commands) {
  const file = path.join(folder, `allocating-${commands}.txt`);
  const clusters = 2 ** 16;
  const lines = Array.from(
    { length: commands },
    (_, index) => `write -P ${index % 256} ${((index * 7919) % clusters) * 16384 + 4096} 4k`,
  );
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Writes a GiB in pieces of 16 MiB and verifies it. @param {string} folder */
export function largeRequests(folder) {
  const file = path.join(folder, 'large.txt');
  const pieces = Array.from({ length: 64 }, (_, index) => index);
  const lines = [
    ...pieces.map((n) => `write -P ${n + 1} ${n * 16}M 16M`),
    ...pieces.map((n) => `read -P ${n + 1} ${n * 16}M 16M`),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/**
 * Requests that are all suspended at once, and resumed: by their tags, the last one first, or all at once.
 * @param {string} folder
 * @param {number} count
 * @param {'tags' | 'all'} [by]
 */
export function suspendedRequests(folder, count, by = 'tags') {
  const file = path.join(folder, `suspended-${count}-${by}.txt`);
  const lines = [];
  for (let n = 0; n < count; n++) lines.push(`break pwritev t${n}`, `aio_write -q ${(n % 16384) * 4096} 4k`);
  if (by === 'all') lines.push('resume -a');
  else for (let n = count - 1; n >= 0; n--) lines.push(`resume t${n}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/**
 * Requests in flight at the same time, each to a place of its own in 20 GiB: all take new clusters.
 * @param {string} folder
 * @param {number} count
 */
export function allocatingBatch(folder, count) {
  const file = path.join(folder, `batch-${count}.txt`);
  let seed = 12_345;
  const lines = Array.from({ length: count }, (_, index) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return `aio_write -q -P ${(index % 255) + 1} ${(seed % 5_242_880) * 4096} 4k`;
  });
  writeFileSync(file, `${lines.join('\n')}\naio_flush\n`);
  return file;
}

/**
 * Requests that all wait for the lock of qcow2, which the first one holds while it is suspended.
 * @param {string} folder
 * @param {number} count
 */
export function lockedRequests(folder, count) {
  const file = path.join(folder, `locked-${count}.txt`);
  const lines = Array.from({ length: count }, (_, index) => `aio_write -q ${index * 65_536} 4k`);
  writeFileSync(file, `break cluster_alloc A\n${lines.join('\n')}\nresume A\naio_flush\n`);
  return file;
}

/**
 * Asynchronous writes at random places of a GiB, each with its own pattern.
 * @param {string} folder
 * @param {number} count
 * @param {string} size
 */
export function asynchronousWrites(folder, count, size) {
  const file = path.join(folder, `asynchronous-${count}-${size}.txt`);
  let seed = 1;
  const lines = Array.from({ length: count }, (_, index) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return `aio_write -q -P ${index % 256} ${(seed % 261_000) * 4096} ${size}`;
  });
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/**
 * Asynchronous writes of 4 KiB that one persistent breakpoint suspends, and that are resumed together.
 * @param {string} folder
 * @param {number} count
 */
export function writesAtOneBreakpoint(folder, count) {
  const file = path.join(folder, `one-breakpoint-${count}.txt`);
  const writes = Array.from({ length: count }, (_, n) => `aio_write -q -P ${n % 256} ${n * 4096} 4k`);
  writeFileSync(file, `${['break -p write_aio A', ...writes, 'resume -a', 'aio_flush'].join('\n')}\n`);
  return file;
}

/** Two reads in a row that each take nearly all of the largest request. @param {string} folder */
export function hugeReads(folder) {
  const file = path.join(folder, 'huge-reads.txt');
  writeFileSync(file, 'read -q 0 2046M\nread -q 0 2047M\n');
  return file;
}

/**
 * A blkdebug config with `count` rules of one event, none of which ever matches.
 * @param {string} folder
 * @param {string} event
 * @param {number} count
 */
export function idleRules(folder, event, count) {
  const file = path.join(folder, `${event}-${count}.conf`);
  const rule = `[inject-error]\nevent = "${event}"\nerrno = "5"\nstate = "7"\n\n`;
  writeFileSync(file, rule.repeat(count));
  return file;
}

/**
 * A thousand commands of which one destroys metadata, and, if they are wanted, three that lead to the event before it.
 * @param {string} folder
 * @param {number} at how many of the writes come before it
 * @param {boolean} isSearched
 */
export function damagedSession(folder, at, isSearched) {
  const file = path.join(folder, `damaged-${at}-${isSearched}.txt`);
  const writes = Array.from({ length: 999 }, (_, n) => `write -q -P ${(n % 250) + 1} ${n * 64}k 64k`);
  const rule = `rule add misdirect event=write_aio to=64k nth=${at}`;
  const search = isSearched ? ['goto -1 until check -d', 'events -n 3', 'where 0', 'resume A'] : [];
  writeFileSync(file, `${[rule, ...writes, ...search].join('\n')}\n`);
  return file;
}

export { MiB };
