/** Whether a buffer holds one byte over and over, at the speed of memcmp. */
export function isFilledWith(data: Buffer, byte: number): boolean {
  if (data.length === 0) return true;
  // All bytes are equal if the buffer equals itself moved by one.
  return data[0] === byte && data.subarray(1).equals(data.subarray(0, data.length - 1));
}
