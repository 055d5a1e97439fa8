/** Options as a tree: sub-options, types, what is left over. */
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/block/error.ts';
import { compatOf, defaultCompat } from '../../../src/block/compat.ts';
import { absorbOptions, Options, type SizeReader, subOptions, takeSub } from '../../../src/block/options/options.ts';

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof BlockError) return error.message;
    throw error;
  }
  throw new Error('did not throw');
}

const warnings: string[] = [];
const reader: SizeReader = { compat: defaultCompat, report: (message) => void warnings.push(message) };

const size = (value: string | number | bigint | boolean): number | undefined =>
  absorbOptions(new Options([['size', value]]), { size: 'size' }, reader).size;
const number = (value: string | number | bigint | boolean): number | undefined =>
  absorbOptions(new Options([['n', value]]), { n: 'number' }).n;

describe('absorbOptions', () => {
  it('takes the named options out and leaves the others', () => {
    const options = new Options([
      ['a', 'x'],
      ['b', 'on'],
      ['c', '12'],
      ['other', '1'],
    ]);
    expect(absorbOptions(options, { a: 'string', b: 'bool', c: 'number', d: 'size' }, reader)).toEqual({
      a: 'x',
      b: true,
      c: 12,
    });
    expect([...options.keys()]).toEqual(['other']);
  });

  it('takes typed values as their text', () => {
    const options = new Options([
      ['a', true],
      ['b', false],
      ['c', 1000.5],
      ['d', 18446744073709551615n],
      ['e', null],
    ]);
    const spec = { a: 'string', b: 'bool', c: 'string', d: 'string', e: 'string' } as const;
    expect(absorbOptions(options, spec)).toEqual({ a: 'on', b: false, c: '1000.5', d: '18446744073709551615' });
    expect(options.size).toBe(0);
  });

  it('prints doubles as C prints %.17g', () => {
    const text = (value: number): string | undefined => absorbOptions(new Options([['t', value]]), { t: 'string' }).t;
    expect(text(0.1)).toBe('0.10000000000000001');
    expect(text(1e-5)).toBe('1.0000000000000001e-05');
    expect(text(1e30)).toBe('1.0000000000000000e+30'.replace(/\.?0+e/, 'e'));
    expect(text(123456789012345680000)).toBe('1.2345678901234568e+20');
    expect(text(50000000000000000)).toBe('50000000000000000');
    expect(text(-2.5)).toBe('-2.5');
  });

  it.each([
    ['64k', 65536],
    ['1.5M', 1572864],
    ['1.k', 1024],
    ['0x10', 16],
    ['0x1k', 1024],
    [' +7', 7],
    ['1.', 1],
    ['1B', 1],
    ['16383P', 16383 * 2 ** 50],
  ])('reads the size %s', (text, bytes) => {
    expect(size(text)).toBe(bytes);
  });

  it.each(['', 'zz', '-1', '1.5', '1e3', '0x1.8k', '1kk', '0x', '99999999999999999999k'])(
    'refuses the size "%s"',
    (text) => {
      expect(messageOf(() => size(text))).toBe(
        "Parameter 'size' expects a non-negative number below 2^64\n" +
          'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.',
      );
    },
  );

  it('warns of a suffix behind hexadecimal digits', () => {
    warnings.length = 0;
    size('0x1k');
    size('0x1e');
    expect(warnings).toEqual(['warning: Using a multiplier suffix on hex numbers is deprecated: 0x1k']);
  });

  it('gives a size and a number to all 64 bits if asked to', () => {
    const options = new Options([
      ['size', '9007199254740993'],
      ['n', '-1'],
    ]);
    expect(absorbOptions(options, { size: 'size64', n: 'number64' }, reader)).toEqual({
      size: 2n ** 53n + 1n,
      n: 2n ** 64n - 1n,
    });
  });

  it.each([
    ['.5k', 512],
    ['1.0', 1],
    ['16383P', 16383 * 2 ** 50],
  ])('reads the size %s as QEMU does from 8.1 on', (text, bytes) => {
    const newer = { ...reader, compat: compatOf('10.2') };
    expect(absorbOptions(new Options([['size', text]]), { size: 'size' }, newer).size).toBe(bytes);
  });

  it.each([
    ['-1', "Value '-1' is out of range for parameter 'size'"],
    ['15.99999999999999999999E', "Value '15.99999999999999999999E' is out of range for parameter 'size'"],
    ['0x1k', /^Parameter 'size' expects a non-negative number below 2\^64\n/],
  ])('refuses the size "%s" as QEMU does from 8.1 on', (text, message) => {
    const newer = { ...reader, compat: compatOf('10.2') };
    expect(messageOf(() => absorbOptions(new Options([['size', text]]), { size: 'size' }, newer))).toMatch(message);
  });

  it('tells a size beyond 64 bits from garbage', () => {
    expect(messageOf(() => size('16E'))).toBe("Value '16E' is out of range for parameter 'size'");
    expect(messageOf(() => size('99999999999999999999'))).toBe(
      "Value '99999999999999999999' is out of range for parameter 'size'",
    );
  });

  it.each([
    ['10', 10],
    ['010', 8],
    ['0x1F', 31],
    ['0', 0],
    ['-1', 2 ** 64],
  ])('reads the number %s as strtoull does', (text, value) => {
    expect(number(text)).toBe(value);
  });

  it.each(['', '08', '0x', '1k', 'on'])('refuses the number "%s"', (text) => {
    expect(messageOf(() => number(text))).toBe("Parameter 'n' expects a number");
  });

  it('refuses a number beyond 64 bits', () => {
    expect(messageOf(() => number('18446744073709551616'))).toBe(
      "Value '18446744073709551616' is too large for parameter 'n'",
    );
  });

  it('refuses what is no truth value', () => {
    const options = new Options([['b', 'ON']]);
    expect(messageOf(() => absorbOptions(options, { b: 'bool' }))).toBe("Parameter 'b' expects 'on' or 'off'");
  });
});

describe('options', () => {
  it('give and take those under a prefix', () => {
    const options = new Options([
      ['file.driver', 'file'],
      ['file.x.y', 1],
      ['files', 2],
    ]);
    expect([...subOptions(options, 'file.')]).toEqual([
      ['driver', 'file'],
      ['x.y', 1],
    ]);
    expect(takeSub(options, 'file.').size).toBe(2);
    expect([...options.keys()]).toEqual(['files']);
  });

  it('list their keys in the order of QEMU', () => {
    // As in the json: name of a blkdebug node, printed by qemu-img 7.2.22.
    const keys = [
      'inject-error.0.state',
      'set-state.0.event',
      'inject-error.0.once',
      'image',
      'max-transfer',
      'driver',
      'set-state.0.new_state',
      'inject-error.0.errno',
      'opt-discard',
      'align',
    ];
    const options = new Options([...keys].sort().map((key) => [key, null]));
    expect(options.orderedKeys()).toEqual(keys);
  });

  it('list keys of one bucket newest first, so that every copy turns them round', () => {
    const options = new Options([
      ['inject-error.0.event', 1],
      ['inject-error.1.event', 2],
    ]);
    const copied = options.clone().orderedKeys();
    expect(options.orderedKeys()).not.toEqual(copied);
    expect(options.clone().clone().orderedKeys()).toEqual(options.orderedKeys());
  });
});
