/** Whether the bytes of `data` from `start` to `end` (its whole length) are all `byte`, at the speed of memcmp. */
export function isFilledWith(data: Buffer, byte: number, start = 0, end: number = data.length): boolean {
  if (start >= end) return true;
  // All bytes are equal if they equal themselves moved by one.
  return data[start] === byte && data.compare(data, start, end - 1, start + 1, end) === 0;
}
