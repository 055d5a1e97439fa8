/** Arithmetic of aligned ranges; every function takes non-negative safe integers and a positive alignment. */

/** The largest multiple of `align` that is not above `value`. */
export function alignDown(value: number, align: number): number {
  return value - (value % align);
}

/** The smallest multiple of `align` that is not below `value`. */
export function alignUp(value: number, align: number): number {
  const rest = value % align;
  return rest === 0 ? value : value + align - rest;
}

/** Whether `value` is a multiple of `align`. */
export function isAligned(value: number, align: number): boolean {
  return value % align === 0;
}

/** `value / divisor`, rounded up. */
export function divRoundUp(value: number, divisor: number): number {
  return Math.ceil(value / divisor);
}

/** Whether `value` is a power of two; 0 is not. */
export function isPowerOf2(value: number): boolean {
  if (value <= 0) return false;
  return value <= 0x7fffffff ? (value & (value - 1)) === 0 : Number.isInteger(Math.log2(value));
}

/** The smaller of two limits of which 0 means "no limit". */
export function minNonZero(a: number, b: number): number {
  if (a === 0) return b;
  if (b === 0) return a;
  return Math.min(a, b);
}
