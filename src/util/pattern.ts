/** Bytes that are all the same: filling buffers with them, and checking that. */

/** Sets every byte of `data` to `byte`, 0 to 255. Node's own `fill` checks its arguments for longer than this takes. */
export function fillWith(data: Buffer, byte: number): void {
  Uint8Array.prototype.fill.call(data, byte);
}

/** The longest buffer that is remembered with its views. */
const MAX_REMEMBERED_BYTES = 64 << 10;

/**
 * The buffer that was checked last, and all of it but its last and its first byte: scripts check one buffer again and
 * again.
 */
let remembered: Buffer = Buffer.alloc(0);
let withoutLast = remembered;
let withoutFirst = remembered;

/** Whether the bytes of `data` from `start` to `end` (its whole length) are all `byte`, at the speed of memcmp. */
export function isFilledWith(data: Buffer, byte: number, start = 0, end: number = data.length): boolean {
  if (start >= end) return true;
  if (data[start] !== byte) return false;
  // All bytes are equal if they equal themselves moved by one.
  if (start > 0 || end < data.length || data.length > MAX_REMEMBERED_BYTES) {
    return data.subarray(start, end - 1).equals(data.subarray(start + 1, end));
  }
  if (remembered !== data) {
    remembered = data;
    withoutLast = data.subarray(0, -1);
    withoutFirst = data.subarray(1);
  }
  return withoutLast.equals(withoutFirst);
}

/** Whether a buffer holds nothing but zeroes. */
export function isAllZero(data: Buffer): boolean {
  if (data.length === 0) return true;
  // As in `isFilledWith`, which remembers buffers that are checked again and again; these are not.
  return data[0] === 0 && data.subarray(1).equals(data.subarray(0, data.length - 1));
}
