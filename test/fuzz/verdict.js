/** The verdict on a case: crashes, hangs, memory, stack traces. */

/**
 * @typedef {object} Case
 * @property {string} name What makes it again: kind and index.
 * @property {readonly string[]} args The program's arguments.
 * @property {readonly { name: string, data: Buffer }[]} files What lies in its folder.
 * @property {string | null} open The command that opens the image; null if the arguments or the lines do.
 * @property {boolean} isReadOnly No file may change.
 * @property {readonly string[]} lines Commands; each character is a byte.
 * @property {boolean} [isAlone] It needs a process of its own.
 */

/**
 * The outcome of some commands: until the program took the next one, or it ended, or the time was up.
 * @typedef {object} Reply
 * @property {string} stdout
 * @property {string} stderr
 * @property {'ready' | 'ended' | 'hangs'} state
 * @property {string} exit Status or signal, of one that ended.
 * @property {number} peakBytes Of its memory, as far as it is known.
 */

/** Of one case. */
export const HANG_MS = 5000;
const MiB = 2 ** 20;
/** The caches of qcow2 by default: 32 MiB of L2 tables, and four refcount blocks, of 2 MiB at most. */
const CACHES_BYTES = 40 * MiB;
const SPARE_BYTES = 256 * MiB;

/** Stack traces, errors of JavaScript, and what the program says when it finds itself broken. */
const signsOfBugs = [
  /^ +at .*:\d+:\d+\)?$/m,
  /\b(?:Type|Range|Reference|Syntax|Eval|URI|Assertion|Aggregate)Error\b/,
  /\bERR_[A-Z_]{4,}|\bFATAL ERROR\b|\bUnhandledPromise|\bInvalid (?:array|typed array|string) length\b/,
  // A check that could not read something says so in the words of qemu-img check.
  /internal error(?!s have occurred during the check)/,
  /requests? never ended/,
  /^fuzz: allocation of \d+ bytes/m,
];

/**
 * The complaint, in a line, or null.
 * @param {Reply} reply
 * @param {number} idleBytes The memory of the program at its start.
 */
export function verdict({ stdout, stderr, state, exit, peakBytes }, idleBytes) {
  for (const text of [stderr, stdout]) {
    for (const sign of signsOfBugs) {
      const match = sign.exec(text);
      if (match !== null) return `says: ${lineAround(text, match.index)}`;
    }
  }
  if (state === 'hangs') return `hangs for more than ${HANG_MS / 1000} s`;
  if (state === 'ended' && exit !== '0' && exit !== '1') return `ends with ${exit}`;
  if (idleBytes > 0 && peakBytes > idleBytes + CACHES_BYTES + SPARE_BYTES) {
    return `takes ${Math.round(peakBytes / MiB)} MiB of memory, ${Math.round(idleBytes / MiB)} MiB at its start`;
  }
  return null;
}

/** @param {string} text @param {number} index */
function lineAround(text, index) {
  const start = text.lastIndexOf('\n', index) + 1;
  const end = text.indexOf('\n', index);
  return text.slice(start, end < 0 ? undefined : end).slice(0, 300);
}
