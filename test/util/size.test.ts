/** Sizes and numbers as QEMU reads them. */
import { describe, expect, it } from 'vitest';
import { parseLong, parseSize, parseUnsigned64 } from '../../src/util/size.ts';

/** Every line observed with `alloc N 5` in qemu-io 7.2.22. */
const observed: readonly (readonly [string, number | bigint | 'invalid' | 'range'])[] = [
  ['0', 0],
  ['5', 5],
  ['+5', 5],
  ['\t5', 5],
  ['5\t', 'invalid'],
  ['64k', 65536],
  ['64K', 65536],
  ['1b', 1],
  ['1M', 1 << 20],
  ['2G', 2 ** 31],
  ['1p', 2 ** 50],
  ['7E', 7n << 60n],
  ['8E', 'range'],
  ['16E', 'range'],
  ['15.99999E', 'range'],
  ['7.9999999999999999999999E', 7n << 60n],
  ['9223372036854775807', (1n << 63n) - 1n],
  ['9223372036854775808', 'range'],
  ['99999999999999999999', 'range'],
  ['99999999999999999999k', 'invalid'],
  ['-99999999999999999999', 'range'],
  ['-1', 'invalid'],
  ['-0', 'invalid'],
  ['1.5', 'invalid'],
  ['1.5B', 'invalid'],
  ['1.5k', 1536],
  ['.5k', 'invalid'],
  ['1.', 1],
  ['1.k', 1024],
  ['1.0', 1],
  ['1.000B', 1],
  ['1..5', 'invalid'],
  ['1.5e3', 'invalid'],
  ['1.5E', 3n << 59n],
  ['0.00000001k', 0],
  ['0.99999999999999999999k', 0],
  [`1.${'0'.repeat(310)}1k`, 1],
  ['0x10', 16],
  ['0X1F', 31],
  ['+0x5', 5],
  ['0x10B', 267],
  ['0x10k', 16384],
  ['0x', 'invalid'],
  ['0x1.8k', 'invalid'],
  ['00x10', 'invalid'],
  ['0x7fffffffffffffff', (1n << 63n) - 1n],
  ['0x10000000000000000', 'range'],
  ['1kk', 'invalid'],
  ['1k1', 'invalid'],
  ['1z', 'invalid'],
  ['k', 'invalid'],
  ['', 'invalid'],
  [' ', 'invalid'],
];

describe('parseSize', () => {
  it.each(observed)('reads %j as %s', (text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  it('keeps values beyond 2^53 exact', () => {
    expect(parseSize('9007199254740991')).toBe(9007199254740991);
    expect(parseSize('9007199254740993')).toBe(9007199254740993n);
    expect(parseSize('9999999999999999')).toBe(9999999999999999n);
    expect(parseSize('9999999999999G')).toBe('range');
  });

  it('rounds halves of a byte up', () => {
    expect(parseSize('0.00048828125k')).toBe(1);
    expect(parseSize('0.00048828124k')).toBe(0);
  });
});

describe('parseUnsigned64', () => {
  it.each([
    ['1k', 1024n],
    ['18446744073709551615', (1n << 64n) - 1n],
    ['18446744073709551616', 'range'],
    ['15.5E', 31n << 59n],
    ['16E', 'range'],
    ['0xffffffffffffffff', (1n << 64n) - 1n],
    ['-1', 'invalid'],
  ])('reads %j as %s', (text, expected) => expect(parseUnsigned64(text, { warn: () => {} })).toBe(expected));
});

describe('a hexadecimal size with a suffix', () => {
  function warningsOf(text: string): string[] {
    const said: string[] = [];
    parseSize(text, { warn: (warning) => said.push(warning) });
    return said;
  }

  it.each(['0x10k', '0X1fM', '+0x1T', '0x1kk', '0x1k.'])('is warned of: %s', (text) =>
    expect(warningsOf(text)).toEqual([`Using a multiplier suffix on hex numbers is deprecated: ${text}`]),
  );
  it.each(['0x10', '0x10B', '0x1E', '10k', '0xk', '-0x1k', '00x1k', '0x10000000000000000k'])('is not %s', (text) => {
    expect(warningsOf(text)).toEqual([]);
  });
});

describe('parseLong', () => {
  it.each([
    ['0', 0],
    ['255', 255],
    ['0xff', 255],
    ['0377', 255],
    ['-1', -1],
    ['+7', 7],
    ['\n 7', 7],
    ['9223372036854775808', 9223372036854775807n],
    ['-9223372036854775809', -9223372036854775808n],
  ])('reads %j as %s', (text, expected) => expect(parseLong(text)).toBe(expected));

  it.each(['', '08', '0x', 'x', '1a', '1 ', '--1'])('refuses %j', (text) => expect(parseLong(text)).toBeUndefined());
});
