/** Numbers as options have them: C's `strtoull` and `strtoll` with their prefixes, and `%.17g`. */

/** A parsed value, or why there is none: not a number at all, or beyond 64 bits. */
export type ParsedNumber = bigint | 'invalid' | 'range';

const MAX_U64 = (1n << 64n) - 1n;
const leading = /^[ \t\n\v\f\r]*([+-]?)(.*)$/s;

/** Parses a whole string as `strtoull` with base 0 does: decimal, 0x…, octal with a leading 0; "-1" wraps around. */
export function parseUnsigned(text: string): ParsedNumber {
  const value = parseInteger(text);
  if (value === null) return 'invalid';
  return value > MAX_U64 || value < -MAX_U64 ? 'range' : BigInt.asUintN(64, value);
}

/** Parses a whole string as `strtoll` with base 0 does: null if it is no number of 64 bits with a sign. */
export function parseSigned(text: string): bigint | null {
  const value = parseInteger(text);
  return value !== null && BigInt.asIntN(64, value) === value ? value : null;
}

/** An integer of any length; null for what is none. */
function parseInteger(text: string): bigint | null {
  const [, sign = '', digits = ''] = leading.exec(text) ?? [];
  let value: bigint;
  if (/^0[xX][0-9a-fA-F]+$/.test(digits)) value = BigInt(digits);
  else if (/^0[0-7]*$/.test(digits)) value = BigInt(`0o0${digits}`);
  else if (/^[1-9][0-9]*$/.test(digits)) value = BigInt(digits);
  else return null;
  return sign === '-' ? -value : value;
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
