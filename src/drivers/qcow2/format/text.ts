/** Texts of an image: names of files, formats, snapshots and bitmaps. */

/** A text of a field that may be longer: it ends at the first NUL, for QEMU keeps it as C does. */
export function untilNul(data: Buffer): Buffer {
  const end = data.indexOf(0);
  return end < 0 ? data : data.subarray(0, end);
}
