/** Numbers as option strings have them: C's `strtoull` with its prefixes, and sizes with a suffix. */

/** A parsed value, or why there is none: not a number at all, or beyond 64 bits. */
export type ParsedNumber = bigint | 'invalid' | 'range';

const MAX_U64 = (1n << 64n) - 1n;
const leading = /^[ \t\n\v\f\r]*([+-]?)(.*)$/s;
const multipliers = 'BKMGTPE';

/** Parses a whole string as `strtoull` with base 0 does: decimal, 0x…, octal with a leading 0; "-1" wraps around. */
export function parseUnsigned(text: string): ParsedNumber {
  const [, sign = '', digits = ''] = leading.exec(text) ?? [];
  let value: bigint;
  if (/^0[xX][0-9a-fA-F]+$/.test(digits)) value = BigInt(digits);
  else if (/^0[0-7]*$/.test(digits)) value = BigInt(`0o0${digits}`);
  else if (/^[1-9][0-9]*$/.test(digits)) value = BigInt(digits);
  else return 'invalid';
  if (value > MAX_U64) return 'range';
  return sign === '-' && value !== 0n ? MAX_U64 + 1n - value : value;
}

/**
 * Parses a whole string as a size in bytes: "512", "64k", "1.5M", "0x1000". A suffix scales by powers of 1024; a
 * fraction needs one and is rounded to the nearest byte.
 */
export function parseSize(text: string): ParsedNumber {
  const [, sign = '', rest = ''] = leading.exec(text) ?? [];
  const hex = /^0[xX]([0-9a-fA-F]+)([a-zA-Z]?)$/.exec(rest);
  const decimal = hex === null ? /^([0-9]+)(\.[0-9]*)?([a-zA-Z]?)$/.exec(rest) : null;
  const digits = hex?.[1] ?? decimal?.[1];
  if (digits === undefined) return 'invalid';
  const fractionText = decimal?.[2] ?? '';
  const suffix = hex?.[2] ?? decimal?.[3] ?? '';

  const value = BigInt(hex === null ? digits : `0x${digits}`);
  // Digits beyond 64 bits end the parse; whatever follows them is then taken for garbage.
  if (value > MAX_U64) return fractionText === '' && suffix === '' ? 'range' : 'invalid';
  if (sign === '-') return 'invalid';

  const power = suffix === '' ? 0 : multipliers.indexOf(suffix.toUpperCase());
  if (power < 0) return 'invalid';
  const scale = 1n << BigInt(10 * power);
  const fraction = fixedPoint(fractionText);
  if (scale === 1n) return fraction === 0n ? value : 'invalid';
  const scaled = value * scale + ((fraction * scale + (1n << 63n)) >> 64n);
  return scaled > MAX_U64 ? 'range' : scaled;
}

/** A decimal fraction (".5") as 64-bit fixed point. */
function fixedPoint(fraction: string): bigint {
  if (fraction.length < 2) return 0n;
  return BigInt(Math.floor(Number(`0${fraction}`) * 2 ** 64));
}

/** A double as C's "%.17g" prints it. */
export function formatDouble(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa = '', exponentText = '0'] = value.toExponential(16).split('e');
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < 17) {
    const fixed = value.toFixed(Math.min(100, Math.max(0, 16 - exponent)));
    return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed;
  }
  const trimmed = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  const digits = String(Math.abs(exponent)).padStart(2, '0');
  return `${trimmed}e${exponent < 0 ? '-' : '+'}${digits}`;
}
