/** Numbers as the shell's commands take them: sizes with a suffix, and C's `strtol`. */

/** Is told that something is deprecated. */
export interface Warnings {
  warn(text: string): void;
}

/** A value (a bigint only above 2^53-1), or the reason why there is none: not a number, or out of range. */
export type ParsedSize = number | bigint | 'invalid' | 'range';

const MAX_U64 = (1n << 64n) - 1n;
const MAX_I64 = (1n << 63n) - 1n;
const MIN_NORMAL_DOUBLE = 2.2250738585072014e-308;
/** So many decimal digits always fit a safe integer. */
const SAFE_DIGITS = 15;
const SPACE = 0x20;
const PLUS = 0x2b;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
/** Small letters differ from large ones in this bit. */
const SMALL = 0x20;
const LETTER_A = 0x61;
const LETTER_X = 0x78;
const POINT = 0x2e;
/** The small letters that stand for the powers of 1024, from 0 on: b, k, m, g, t, p, e. */
const SUFFIXES: readonly number[] = [0x62, 0x6b, 0x6d, 0x67, 0x74, 0x70, 0x65];

/**
 * Parses a size in bytes, 0 to 2^63-1 or `max`: "512", "64k", "1.5M", "0x1000", "+4E"; suffixes are powers of 1024.
 * Larger ones are 'range'. Every corner is as observed with qemu-io 7.2.22: a fraction needs a suffix, "1.k" is 1024,
 * an overflow with anything behind the digits is 'invalid'. A hexadecimal size with a suffix is warned of.
 */
export function parseSize(text: string, warnings: Warnings | null = null, max = MAX_I64): ParsedSize {
  let at = text.charCodeAt(0) > SPACE ? 0 : behindBlanks(text);
  const sign = text.charCodeAt(at);
  if (sign === MINUS || sign === PLUS) at += 1;
  const start = at;
  let digits = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) break;
    digits = digits * 10 + (code - ZERO);
  }
  if (at === start) return 'invalid';
  const value = at - start <= SAFE_DIGITS ? digits : BigInt(text.slice(start, at));
  if (typeof value === 'bigint' && value > MAX_U64) return at === text.length ? 'range' : 'invalid';
  if (sign === MINUS) return 'invalid';
  if (at === text.length) return typeof value === 'number' ? value : within(value, max);
  const next = text.charCodeAt(at);
  if (digits === 0 && (next | SMALL) === LETTER_X) {
    return at - start === 1 ? hexSize(text, at + 1, max, warnings) : 'invalid';
  }
  if (next === POINT) return sizeWithFraction(value, text.slice(at), max);
  return scaled(value, text, at, max);
}

/** Parses sums, differences and products of sizes: "64k*3+512". The result is a size, 0 to 2^63-1. */
export function parseSum(text: string): ParsedSize {
  let sum = 0n;
  for (const [, sign, product = ''] of `+${text}`.matchAll(/([+-])([^+-]*)/g)) {
    let value = 1n;
    for (const factor of product.split('*')) {
      const size = parseSize(factor);
      if (typeof size === 'string') return size;
      value *= BigInt(size);
    }
    sum += sign === '-' ? -value : value;
  }
  if (sum < 0n) return 'invalid';
  return within(sum, MAX_I64);
}

/** Parses a size up to 2^64-1, as options of nodes have it. */
export function parseUnsigned64(text: string, warnings: Warnings): bigint | 'invalid' | 'range' {
  const value = parseSize(text, warnings, MAX_U64);
  return typeof value === 'number' ? BigInt(value) : value;
}

/** A size from behind its "0x" on. */
function hexSize(text: string, start: number, max: bigint, warnings: Warnings | null): ParsedSize {
  const hex = /^[0-9a-fA-F]+/.exec(text.slice(start))?.[0];
  if (hex === undefined) return 'invalid';
  const value = BigInt(`0x${hex}`);
  const end = start + hex.length;
  if (value > MAX_U64) return end === text.length ? 'range' : 'invalid';
  const next = text.charAt(end);
  // Also if more follows, which makes it invalid.
  if (/[kmgtp]/i.test(next)) warnings?.warn(`Using a multiplier suffix on hex numbers is deprecated: ${text}`);
  return next === '.' ? 'invalid' : scaled(value, text, end, max);
}

/** `value`, and the text from its decimal point on. */
function sizeWithFraction(value: number | bigint, text: string, max: bigint): ParsedSize {
  const decimals = /^\.[0-9]+(?:[eE][+-]?[0-9]+)?/.exec(text)?.[0];
  if (decimals === undefined) return scaled(value, text, 1, max);
  if (/[eE]/.test(decimals)) return 'invalid';
  const number = Number(`0${decimals}`);
  // A fraction too small for a double counts as an error of its own, which takes the suffix with it.
  if (number < MIN_NORMAL_DOUBLE && /[1-9]/.test(decimals)) return scaled(value, text, decimals.length + 1, max);
  const power = suffixPower(text, decimals.length);
  // In 64 bits behind the point, as a part of the unit; halves are rounded up.
  const fraction = BigInt.asUintN(64, BigInt(Math.floor(number * 2 ** 64)));
  if (power < 0 || (power === 0 && fraction !== 0n)) return 'invalid';
  const multiplier = 1n << BigInt(10 * power);
  return within(BigInt(value) * multiplier + ((fraction * multiplier + (1n << 63n)) >> 64n), max);
}

/** `value` times the suffix at `at`. */
function scaled(value: number | bigint, text: string, at: number, max: bigint): ParsedSize {
  const power = suffixPower(text, at);
  if (power < 0) return 'invalid';
  if (typeof value === 'number') {
    let bytes = value;
    for (let left = power; left > 0; left -= 1) bytes *= 1024;
    if (bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  }
  return within(BigInt(value) << BigInt(10 * power), max);
}

/**
 * The power of 1024 that the rest of a text from `at` on stands for: 0 where nothing is left, -1 for what is no suffix.
 */
function suffixPower(text: string, at: number): number {
  if (at >= text.length) return 0;
  return at + 1 === text.length ? SUFFIXES.indexOf(text.charCodeAt(at) | SMALL) : -1;
}

function within(value: bigint, max: bigint): ParsedSize {
  if (value > max) return 'range';
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/**
 * Parses a whole text as C's `strtol` with base 0: blanks, a sign, decimal, 0x…, octal behind a 0; what does not fit 64
 * bits becomes the nearest value that does. A bigint only beyond 2^53-1. Undefined if anything is left over.
 */
export function parseLong(text: string): number | bigint | undefined {
  let at = text.charCodeAt(0) > SPACE ? 0 : behindBlanks(text);
  const sign = text.charAt(at);
  if (sign === '+' || sign === '-') at += 1;
  let base = 10;
  if (text.charAt(at) === '0') {
    const isHex = text.charAt(at + 1).toLowerCase() === 'x';
    base = isHex ? 16 : 8;
    if (isHex) at += 2;
  }
  if (at >= text.length) return undefined;
  let value: number | bigint = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const letter = (code | SMALL) - LETTER_A;
    const digit = code <= NINE ? code - ZERO : letter < 0 ? -1 : letter + 10;
    if (digit < 0 || digit >= base) return undefined;
    value =
      typeof value === 'number' && value < 2 ** 48
        ? value * base + digit
        : BigInt(value) * BigInt(base) + BigInt(digit);
  }
  if (sign === '-') value = value === 0 ? 0 : -value;
  if (typeof value === 'bigint' && value > MAX_I64) return MAX_I64;
  return typeof value === 'bigint' && value < -MAX_I64 - 1n ? -MAX_I64 - 1n : value;
}

/** Where the blanks at the start of a text end. */
function behindBlanks(text: string): number {
  let at = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code !== 32 && (code < 9 || code > 13)) break;
  }
  return at;
}
