/**
 * Big-endian numbers in tables that requests look at: without the checks of Node's own methods, which cost most of the
 * look.
 */

/** The 32 bits at `at`, unsigned. Bytes behind the end of `data` count as zero: the caller keeps within. */
export function readBe32(data: Uint8Array, at: number): number {
  const high = ((data[at] as number) << 8) | (data[at + 1] as number);
  const low = ((data[at + 2] as number) << 8) | (data[at + 3] as number);
  return ((high << 16) | low) >>> 0;
}

/**
 * Sets the 32 bits at `at` to the low ones of `value`. Nothing is written behind the end of `data`: the caller keeps
 * within.
 */
export function writeBe32(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 24;
  data[at + 1] = value >>> 16;
  data[at + 2] = value >>> 8;
  data[at + 3] = value;
}
