/** Numbers and sizes as C prints them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatFixed, formatSize } from '../../src/util/format.ts';
import { hexDump } from '../../src/util/hex-dump.ts';
import { isFilledWith } from '../../src/util/pattern.ts';

describe('formatFixed', () => {
  it.each([
    [1.0625, 3, '1.062'],
    [1.1875, 3, '1.188'],
    [0.5, 0, '0'],
    [1.5, 0, '2'],
    [2.5, 0, '2'],
    [0.125, 2, '0.12'],
    [0.375, 2, '0.38'],
    [1.005, 2, '1.00'],
    [1023.9999, 3, '1024.000'],
    [Number.POSITIVE_INFINITY, 3, 'inf'],
    [Number.NaN, 4, '-nan'],
  ])('writes %f with %i digits as glibc does', (value, digits, expected) => {
    expect(formatFixed(value, digits)).toBe(expected);
  });

  it('writes the nearest decimal of any value, near halves and far from them', () => {
    const anyValue = fc.oneof(
      fc.double({ min: 0, max: 2 ** 45, noNaN: true }),
      fc.double({ min: 0, max: 2000, noNaN: true }),
      // Halves of the last digit, exact and a little beside.
      fc
        .tuple(fc.integer({ min: 0, max: 2 ** 30 }), fc.constantFrom(0, 1e-12, -1e-12))
        .map(([n, off]) => n / 2000 + off),
      fc.integer({ min: 0, max: 2 ** 40 }).map((n) => n / 2 ** 10),
    );
    fc.assert(
      fc.property(anyValue, fc.integer({ min: 0, max: 6 }), (value, digits) => {
        fc.pre(value >= 0);
        expect(formatFixed(value, digits)).toBe(exactDecimal(value, digits));
      }),
      { numRuns: 5000 },
    );
  });
});

/** A double is a fraction of 2^1074: rounded to the nearest decimal, halves to the even digit, in whole numbers. */
function exactDecimal(value: number, digits: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n) || 1;
  const mantissa = (bits & ((1n << 52n) - 1n)) | (Number(bits >> 52n) === 0 ? 0n : 1n << 52n);
  const numerator = (mantissa << BigInt(exponent - 1)) * 10n ** BigInt(digits);
  const one = 1n << 1074n;
  const [whole, twice] = [numerator / one, (numerator % one) * 2n];
  const units = twice > one || (twice === one && whole % 2n === 1n) ? whole + 1n : whole;
  const text = String(units).padStart(digits + 1, '0');
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

describe('formatSize', () => {
  it.each([
    [0, '0 bytes'],
    [512, '512 bytes'],
    [1023, '1023 bytes'],
    [12.345678, '12.345678 bytes'],
    [1.0004, '1 bytes'],
    [1024, '1 KiB'],
    [1088, '1.062 KiB'],
    [1536, '1.500 KiB'],
    [2 ** 20, '1 MiB'],
    [2 ** 20 - 1, '1023.999 KiB'],
    [2 ** 30 - 1, '1024 MiB'],
    [1.5 * 2 ** 60, '1.500 EiB'],
    [Number.POSITIVE_INFINITY, 'inf EiB'],
  ])('shows %f as %s', (bytes, expected) => expect(formatSize(bytes)).toBe(expected));
});

describe('formatDuration', () => {
  it.each([
    [0, false, '00.00 sec'],
    [123_456_789, false, '00.12 sec'],
    [999_999_999, false, '01.00 sec'],
    [1_500_000_000, false, '0:00:01.50'],
    [3_723_250_000_000, false, '1:02:03.25'],
    [1000, true, '0:00:00.00'],
  ])('shows %i ns (clock form: %s) as %s', (ns, clockForm, expected) => {
    expect(formatDuration(ns, clockForm)).toBe(expected);
  });
});

describe('hexDump', () => {
  function dump(data: Uint8Array, offset: number): string {
    return [...hexDump(data, offset)].join('');
  }

  it('shows addresses, hexadecimal and letters, sixteen bytes a line', () => {
    expect(dump(Buffer.from('0123456789abcdefA_\xe4z', 'latin1'), 512)).toBe(
      '00000200:  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n' +
        '00000210:  41 5f e4 7a  A..z\n',
    );
  });

  it('is empty for no bytes, and complete over many pieces', () => {
    expect(dump(Buffer.alloc(0), 0)).toBe('');
    const lines = dump(Buffer.alloc(16 * 10_000), 0xffff_fff0).split('\n');
    expect(lines).toHaveLength(10_001);
    expect(lines[1]).toMatch(/^100000000: {2}00 /);
  });
});

describe('isFilledWith', () => {
  it('finds a single other byte, wherever it is', () => {
    const data = Buffer.alloc(4097, 7);
    expect(isFilledWith(data, 7)).toBe(true);
    expect(isFilledWith(data, 8)).toBe(false);
    for (const index of [0, 1, 4095, 4096]) {
      const changed = Buffer.from(data);
      changed[index] = 8;
      expect(isFilledWith(changed, 7)).toBe(false);
    }
    expect(isFilledWith(Buffer.alloc(0), 9)).toBe(true);
    expect(isFilledWith(Buffer.of(9), 9)).toBe(true);
  });
});
