/** Counts of two kinds of runs over the same source, put together. */

/** @typedef {{ all: number, percent: number }} Share */
/** @typedef {{ line: number, column: number }} Position */
/** @typedef {{ start: Position, end: Position }} Range */
/**
 * @typedef {object} FileCounts as Istanbul has them
 * @property {Record<string, Range>} statementMap
 * @property {Record<string, { locations: Range[] }>} branchMap
 * @property {Record<string, number>} s
 * @property {Record<string, number[]>} b
 */

/**
 * Marks in `files` what `others` reached as well, and says what share of the lines and branches of `files` is reached
 * then. What is there to be reached is decided by `files` alone; a place that begins elsewhere in `others` (the bundler
 * changes code) is none.
 * @param {Record<string, FileCounts>} files @param {ReadonlyMap<string, FileCounts[]>} others
 * @returns {{ lines: Share, branches: Share }}
 */
export function addReached(files, others) {
  let lines = 0;
  let linesReached = 0;
  let branches = 0;
  let branchesReached = 0;
  for (const [name, file] of Object.entries(files)) {
    for (const other of others.get(name) ?? []) add(file, other);
    const byLine = linesOf(file);
    lines += byLine.size;
    linesReached += [...byLine.values()].filter(Boolean).length;
    const counts = Object.values(file.b).flat();
    branches += counts.length;
    branchesReached += counts.filter((count) => count > 0).length;
  }
  return {
    lines: { all: lines, percent: (100 * linesReached) / lines },
    branches: { all: branches, percent: (100 * branchesReached) / branches },
  };
}

/** @param {FileCounts} file @param {FileCounts} other */
function add(file, other) {
  const statements = new Set();
  for (const [id, range] of Object.entries(other.statementMap)) {
    if ((other.s[id] ?? 0) > 0) statements.add(placeOf(range));
  }
  for (const [id, range] of Object.entries(file.statementMap)) {
    if (file.s[id] === 0 && statements.has(placeOf(range))) file.s[id] = 1;
  }
  const arms = new Set();
  for (const [id, { locations }] of Object.entries(other.branchMap)) {
    for (const [index, range] of locations.entries()) {
      if ((other.b[id]?.[index] ?? 0) > 0) arms.add(armOf(index, range));
    }
  }
  for (const [id, { locations }] of Object.entries(file.branchMap)) {
    const counts = file.b[id] ?? [];
    for (const [index, range] of locations.entries()) {
      if (counts[index] === 0 && arms.has(armOf(index, range))) counts[index] = 1;
    }
  }
}

/** Where something begins: its end can be written differently. @param {Range} range */
function placeOf({ start }) {
  return `${start.line}:${start.column}`;
}

/**
 * A place can be the first arm of one branch and the second of another.
 * @param {number} index
 * @param {Range} range
 */
function armOf(index, range) {
  return `${index} ${placeOf(range)}`;
}

/** Whether each line on which a statement begins is reached. @param {FileCounts} file */
function linesOf(file) {
  /** @type {Map<number, boolean>} */
  const lines = new Map();
  for (const [id, { start }] of Object.entries(file.statementMap)) {
    lines.set(start.line, (lines.get(start.line) ?? false) || (file.s[id] ?? 0) > 0);
  }
  return lines;
}
