/** Numbers as the shell's commands take them: sizes with a suffix, and C's `strtol`. */

/** A value (a bigint only above 2^53-1), or why there is none: not a number at all, or beyond 63 bits. */
export type ParsedSize = number | bigint | 'invalid' | 'range';

const MAX_U64 = (1n << 64n) - 1n;
const MAX_I64 = (1n << 63n) - 1n;
const MIN_NORMAL_DOUBLE = 2.2250738585072014e-308;
const BLANKS = ' \t\n\v\f\r';
const SUFFIXES = 'BKMGTPE';

/**
 * Parses a size in bytes: "512", "64k", "1.5M", "0x1000", "+4E"; suffixes scale by powers of 1024. Beyond 2^63-1 the
 * answer is 'range'. Every corner is as observed with qemu-io 7.2.22: a fraction needs a suffix, "1.k" is 1024,
 * an overflow with anything behind the digits is 'invalid'.
 */
export function parseSize(text: string): ParsedSize {
  const plain = parsePlainSize(text);
  if (plain >= 0) return plain;
  const value = parseUnsigned64(text);
  if (typeof value === 'string') return value;
  if (value > MAX_I64) return 'range';
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Whether a text is a hexadecimal size with a suffix ("0x10k"): understood, with a warning that it is deprecated. */
export function isScaledHex(text: string): boolean {
  const hex = /^[ \t\n\v\f\r]*\+?(0[xX][0-9a-fA-F]+)[kKmMgGtTpP]/.exec(text)?.[1];
  return hex !== undefined && BigInt(hex) <= MAX_U64;
}

/** The usual case of `parseSize` without a regular expression: up to 15 digits and a suffix up to G. -1 for everything else. */
export function parsePlainSize(text: string): number {
  const { length } = text;
  if (length === 0 || length > 16) return -1;
  let value = 0;
  for (let index = 0; index < length; index += 1) {
    const digit = text.charCodeAt(index) - 48;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      continue;
    }
    if (index === 0 || index !== length - 1) return -1;
    const scale = scaleOf(text.charCodeAt(index));
    if (scale === 0) return -1;
    value *= scale;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

/** What a suffix up to G stands for, by its code; 0 for another character. */
function scaleOf(code: number): number {
  // Small letters differ from large ones in this bit.
  switch (code | 0x20) {
    case 0x6b:
      return 2 ** 10;
    case 0x6d:
      return 2 ** 20;
    case 0x67:
      return 2 ** 30;
    default:
      return 0;
  }
}

/** The same up to 2^64-1, and exact. */
export function parseUnsigned64(text: string): bigint | 'invalid' | 'range' {
  let start = 0;
  while (start < text.length && BLANKS.includes(text.charAt(start))) start += 1;
  const sign = text.charAt(start);
  if (sign === '+' || sign === '-') start += 1;
  const digits = /^[0-9]+/.exec(text.slice(start))?.[0];
  if (digits === undefined) return 'invalid';
  let end = start + digits.length;
  let value = BigInt(digits);
  if (value > MAX_U64) return end === text.length ? 'range' : 'invalid';
  if (sign === '-') return 'invalid';

  let fraction = 0n;
  if (value === 0n && /^[xX]$/.test(text.charAt(end))) {
    const hex = digits === '0' ? /^[0-9a-fA-F]+/.exec(text.slice(end + 1))?.[0] : undefined;
    if (hex === undefined) return 'invalid';
    end += 1 + hex.length;
    value = BigInt(`0x${hex}`);
    if (value > MAX_U64) return end === text.length ? 'range' : 'invalid';
    if (text.charAt(end) === '.') return 'invalid';
  } else if (text.charAt(end) === '.') {
    const decimals = /^\.[0-9]+(?:[eE][+-]?[0-9]+)?/.exec(text.slice(end))?.[0];
    if (decimals === undefined) {
      end += 1;
    } else if (/[eE]/.test(decimals)) {
      return 'invalid';
    } else {
      const number = Number(`0${decimals}`);
      end += decimals.length;
      // A fraction too small for a double counts as an error of its own, which takes the suffix with it.
      if (number < MIN_NORMAL_DOUBLE && /[1-9]/.test(decimals)) end += 1;
      else fraction = BigInt.asUintN(64, BigInt(Math.floor(number * 2 ** 64)));
    }
  }
  return scale(value, fraction, text.slice(end));
}

/** `value` and a 64-bit fixed-point `fraction`, times what the suffix says; halves are rounded up. */
function scale(value: bigint, fraction: bigint, suffix: string): bigint | 'invalid' | 'range' {
  const power = suffix === '' ? 0 : SUFFIXES.indexOf(suffix.charAt(0).toUpperCase());
  if (power < 0 || suffix.length > 1) return 'invalid';
  if (power === 0) return fraction === 0n ? value : 'invalid';
  const multiplier = 1n << BigInt(10 * power);
  const scaled = value * multiplier + ((fraction * multiplier + (1n << 63n)) >> 64n);
  return scaled > MAX_U64 ? 'range' : scaled;
}

/**
 * A whole text as C's `strtol` with base 0 reads it: blanks, a sign, decimal, 0x…, octal behind a 0; what does not fit
 * becomes the nearest 64-bit value. Undefined if anything is left over.
 */
export function parseLong(text: string): bigint | undefined {
  const match = /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text);
  if (match === null) return undefined;
  const digits = match[2] ?? '0';
  const isOctal = digits.length > 1 && /^0[0-7]+$/.test(digits);
  const magnitude = BigInt(isOctal ? `0o${digits.slice(1)}` : digits);
  const value = match[1] === '-' ? -magnitude : magnitude;
  if (value > MAX_I64) return MAX_I64;
  return value < -MAX_I64 - 1n ? -MAX_I64 - 1n : value;
}
