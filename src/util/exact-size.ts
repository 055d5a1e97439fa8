/** Sizes as QEMU reads them from 8.1 on: a fraction may stand alone, and needs a suffix only if it is not zero. */
import type { ParsedSize } from './size.ts';

const MAX_U64 = (1n << 64n) - 1n;
const MAX_I64 = (1n << 63n) - 1n;
/** Each stands for a power of 1024, from 0 on. */
const SUFFIXES = 'bkmgtpe';
const PARTS = /^[ \t\n\v\f\r]*([+-]?)(\d*)(\.\d*)?(.*)$/s;

/**
 * Parses a size in bytes, 0 to 2^63-1: "512", "64k", "1.5M", "1.0", ".5k", "0x1000". A negative one is 'range', as is
 * one that is too large. Every corner is as observed with qemu-io 10.2.50: no suffix goes with hexadecimal digits, and
 * an overflow with anything behind the digits is 'invalid'.
 */
export function parseExactSize(text: string): ParsedSize {
  const bytes = parseExactSize64(text);
  if (typeof bytes === 'string') return bytes;
  if (bytes > MAX_I64) return 'range';
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : bytes;
}

/** Parses a size up to 2^64-1, as options of nodes have it. */
export function parseExactSize64(text: string): bigint | 'invalid' | 'range' {
  const [, sign, digits = '', fraction, rest = ''] = PARTS.exec(text) ?? [];
  if (digits === '' && (fraction ?? '.') === '.') return 'invalid';
  const whole = BigInt(digits === '' ? 0 : digits);
  // Nothing is left to be read behind a number that is out of range: only the end of the text agrees with that.
  if (digits !== '' && (sign === '-' || whole > MAX_U64))
    return fraction === undefined && rest === '' ? 'range' : 'invalid';
  if (fraction === undefined && whole === 0n && /^x/i.test(rest))
    return digits === '0' ? hexSize(rest.slice(1)) : 'invalid';
  const power = rest === '' ? 0 : SUFFIXES.indexOf(rest.toLowerCase());
  if (rest.length > 1 || power < 0) return 'invalid';
  if (sign === '-') return rest === '' ? 'range' : 'invalid';
  return scaled(whole, fixedPoint(fraction ?? ''), power);
}

/** A size behind its "0x". */
function hexSize(digits: string): bigint | 'invalid' | 'range' {
  if (!/^[0-9a-f]+$/i.test(digits)) return 'invalid';
  const bytes = BigInt(`0x${digits}`);
  return bytes > MAX_U64 ? 'range' : bytes;
}

/** A decimal fraction as a multiple of 2^-64; never zero for one that is not. */
function fixedPoint(fraction: string): bigint {
  const value = Number(`0${fraction}`);
  const units = BigInt(Math.floor(value * 2 ** 64));
  return units === 0n && /[1-9]/.test(fraction) ? 1n : units;
}

/** Halves are rounded up. */
function scaled(whole: bigint, fraction: bigint, power: number): bigint | 'invalid' | 'range' {
  // Rounded up to one, it is no fraction any more.
  if (power === 0 && fraction !== 0n && fraction !== 1n << 64n) return 'invalid';
  const multiplier = 1n << BigInt(10 * power);
  const bytes = whole * multiplier + ((fraction * multiplier + (1n << 63n)) >> 64n);
  return bytes > MAX_U64 ? 'range' : bytes;
}
