/** Content ids of vmdk images taken out of files: every program makes new ones with the first write. */

/** A descriptor begins within as many bytes. */
const HEAD_BYTES = 16 * 1024;
const DIGITS = 8;
const NEWLINE = 0x0a;

/**
 * The bytes of a file with the content id of a descriptor in it replaced by eight letters: it has up to eight digits,
 * and what follows it up to the first zero moves with them.
 */
export function withoutContentId(data: Buffer): Buffer {
  const found = data.subarray(0, HEAD_BYTES).indexOf('\nCID=');
  if (found < 0) return data;
  const start = found + '\nCID='.length;
  const end = data.indexOf(NEWLINE, start);
  const missing = DIGITS - (end - start);
  if (end < 0 || missing < 0) return data;
  const zero = data.indexOf(0, end);
  const stop = zero < 0 ? data.length : zero;
  const rest = data.subarray(Math.min(stop + missing, data.length));
  return Buffer.concat([data.subarray(0, start), Buffer.alloc(DIGITS, 'x'), data.subarray(end, stop), rest]);
}
