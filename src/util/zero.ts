/** Whether a buffer holds nothing but zeroes, at the speed of memcmp. */
export function isAllZero(data: Buffer): boolean {
  if (data.length === 0) return true;
  // All bytes are equal if the buffer equals itself moved by one.
  return data[0] === 0 && data.subarray(1).equals(data.subarray(0, data.length - 1));
}
