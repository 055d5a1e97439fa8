/** blkdebug's options in all spellings, with QEMU's messages. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { defaultCompat } from '../../../src/block/compat.ts';
import { BlockError } from '../../../src/block/error.ts';
import { eventName } from '../../../src/block/events/events.ts';
import { Perm } from '../../../src/block/flags.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { parseFilename } from '../../../src/drivers/blkdebug/filename.ts';
import { parseLimits } from '../../../src/drivers/blkdebug/limits.ts';
import { takePermissions, takeRules, takeSettings } from '../../../src/drivers/blkdebug/options.ts';
import { settingTexts } from '../../../src/drivers/blkdebug/rules/settings.ts';
import { Errno } from '../../../src/util/errno.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';

const reader = { compat: defaultCompat, report: () => {} };

function options(given: Record<string, OptionValue>): Options {
  return new Options(Object.entries(given));
}

/** The rules as text: "inject-error none: errno=5". */
function rules(given: Record<string, OptionValue>, configPath: string | null = null): string[] {
  return takeRules(configPath, options(given)).map((rule) => {
    const [, ...settings] = Array.from(settingTexts(rule.settings), ([name, value]) => `${name}=${value}`);
    return `${rule.kind} ${eventName(rule.event)}: ${settings.join(' ')}`;
  });
}

describe('rules from options', () => {
  it('have the defaults of QEMU', () => {
    expect(rules({ 'inject-error.0.event': 'none' })).toEqual(['inject-error none: errno=5']);
    expect(rules({ 'set-state.0.event': 'none' })).toEqual(['set-state none: new_state=0']);
  });

  it('keep every attribute', () => {
    expect(
      rules({
        'inject-error.0.event': 'l2_load',
        'inject-error.0.state': '0x2',
        'inject-error.0.iotype': 'write-zeroes',
        'inject-error.0.errno': 28,
        'inject-error.0.sector': '010',
        'inject-error.0.once': true,
        'inject-error.0.immediately': 'yes',
        'set-state.0.event': 'pwritev',
        'set-state.0.state': 3,
        'set-state.0.new_state': '4',
      }),
    ).toEqual([
      'inject-error l2_load: errno=28 state=2 sector=8 iotype=write-zeroes once=on immediately=on',
      'set-state pwritev: new_state=4 state=3',
    ]);
  });

  it('may be one section without a number', () => {
    expect(rules({ 'inject-error.event': 'none', 'inject-error.errno': '1' })).toEqual(['inject-error none: errno=1']);
  });

  it('accept the dotted event names of the 2014 manual', () => {
    expect(rules({ 'inject-error.0.event': 'l1_grow.alloc_table' })).toEqual([
      'inject-error l1_grow_alloc_table: errno=5',
    ]);
  });

  it('take numbers as QEMU keeps them: wrapped, and cut to 32 bits', () => {
    expect(rules({ 'inject-error.event': 'none', 'inject-error.errno': '-5' })).toEqual([
      'inject-error none: errno=-5',
    ]);
    expect(rules({ 'inject-error.event': 'none', 'inject-error.state': '4294967296' })).toEqual([
      'inject-error none: errno=5',
    ]);
    expect(rules({ 'set-state.event': 'none', 'set-state.new_state': '4294967295' })).toEqual([
      'set-state none: new_state=-1',
    ]);
  });

  it('count a null as not given', () => {
    expect(rules({ 'inject-error.0.event': 'none', 'inject-error.0.errno': null })).toEqual([
      'inject-error none: errno=5',
    ]);
  });

  it.each([
    [{ 'inject-error.0.errno': '5' }, 'Missing event name for rule'],
    [{ 'set-state.0.state': '5' }, 'Missing event name for rule'],
    [{ 'inject-error.0.event': 'bad' }, 'invalid parameter value: bad'],
    [{ 'inject-error.0.event': '' }, 'invalid parameter value: '],
    [{ 'inject-error.0.event': 'none', 'inject-error.0.iotype': 'x' }, 'invalid parameter value: x'],
    [{ 'inject-error.0.event': 'none', 'inject-error.0.state': 'x' }, "Parameter 'state' expects a number"],
    [
      { 'inject-error.0.sector': '18446744073709551616' },
      "Value '18446744073709551616' is too large for parameter 'sector'",
    ],
    [{ 'inject-error.0.once': 'maybe' }, "Parameter 'once' expects 'on' or 'off'"],
    [{ 'inject-error.event': 'none', 'inject-error.foo': 'x' }, "Unknown option 'foo' for [inject-error]"],
    [{ 'inject-error.event': 'none', 'inject-error.0.event': 'none' }, "Unknown option '0.event' for [inject-error]"],
    [{ 'inject-error.1.event': 'none' }, "Unused option '1.event' for [inject-error]"],
    [{ 'inject-error.00.event': 'none' }, "Unused option '00.event' for [inject-error]"],
    [{ 'set-state.foo': 'none' }, "Unused option 'foo' for [set-state]"],
    [{ 'inject-error.0': 'none' }, '[inject-error] section (index 0) does not consist of keys'],
    [{ 'inject-error.0.event': 'none', 'inject-error.0': 'x' }, "Unused option '0' for [inject-error]"],
    [
      { 'inject-error.0.event': 'none', 'inject-error.0.id': 'x' },
      "[inject-error] section doesn't support the option 'id'",
    ],
    [{ 'inject-error.0.event': 'x', 'inject-error.1.once': 'x' }, "Parameter 'once' expects 'on' or 'off'"],
    [{ 'inject-error.0.event': 'x', 'set-state.0.state': 'x' }, "Parameter 'state' expects a number"],
  ])('are refused for %j', (given, message) => {
    expect(() => rules(given)).toThrow(new BlockError(Errno.EINVAL, message));
  });

  it('leave nothing behind', () => {
    const given = options({ 'inject-error.0.event': 'none', 'set-state.0.event': 'none', align: '512', other: 'x' });
    takeRules(null, given);
    takeSettings(given, reader);
    expect([...given.keys()]).toEqual(['other']);
  });
});

describe('rules from a config file', () => {
  const folder = useEmptyFolder();
  let file = '';
  beforeEach(() => {
    file = path.join(folder, 'rules.conf');
  });

  it('come before those of the options, inject-error before set-state', () => {
    writeFileSync(file, '[set-state]\nevent = "none"\n[inject-error]\nevent = "pwritev"\nerrno = "1"\n');
    expect(rules({ 'inject-error.0.event': 'none', 'set-state.0.event': 'l2_load' }, file)).toEqual([
      'inject-error pwritev: errno=1',
      'inject-error none: errno=5',
      'set-state none: new_state=0',
      'set-state l2_load: new_state=0',
    ]);
  });

  it.each([
    ['[foo]\n', "There is no option group 'foo'"],
    ['[inject-error]\nfoo = "1"\n', "Invalid parameter 'foo'"],
    ['[inject-error]\nevent = none\n', 'invalid parameter value: '],
    ['[inject-error]\nonce = "1"\n', "Parameter 'once' expects 'on' or 'off'"],
    ['[inject-error "a"]\n[inject-error "a"]\n', "Duplicate ID 'a' for inject-error"],
    ['[inject-error "x"]\n[set-state]\n', 'Missing event name for rule'],
    ['[inject-error "inject-error.0"]\nevent = "none"\n', "Duplicate ID 'inject-error.0' for inject-error"],
    [
      '[set-state "1"]\n',
      "Parameter 'id' expects an identifier\n" +
        "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
    ],
    // Both an unknown attribute and a bad value: QEMU goes through its dictionary's order.
    ['[inject-error]\nerrno = "x"\na = "1"\n', "Invalid parameter 'a'"],
    ['[inject-error]\nerrno = "x"\nfoo = "1"\n', "Parameter 'errno' expects a number"],
  ])('are refused in %j', (text, message) => {
    writeFileSync(file, text);
    const refused = expect.objectContaining({ errno: Errno.EINVAL, message });
    expect(() => rules({ 'inject-error.0.event': 'none' }, file)).toThrow(refused);
  });

  it('may use one id in two groups', () => {
    writeFileSync(file, '[set-state "a"]\nevent = "none"\n[inject-error "a"]\nevent = "none"\n');
    expect(rules({}, file)).toHaveLength(2);
  });
});

describe('limits', () => {
  const parse = (given: Record<string, OptionValue>, childAlignment = 1) =>
    parseLimits(takeSettings(options(given), reader), childAlignment);

  it('are all 0 when none is given', () => {
    expect(Object.values(parse({}))).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('take sizes with suffixes', () => {
    expect(
      parse({
        align: '4k',
        'max-transfer': '1M',
        'opt-write-zero': '8k',
        'max-write-zero': '16k',
        'opt-discard': '12k',
        'max-discard': '24k',
      }),
    ).toEqual({
      align: 4096,
      maxTransfer: 1 << 20,
      optWriteZero: 8192,
      maxWriteZero: 16384,
      optDiscard: 12288,
      maxDiscard: 24576,
    });
  });

  it.each([
    [{ align: 3 }, 'align 3'],
    [{ align: '2147483647' }, 'align 2147483647'],
    [{ align: '2G' }, 'align 2147483648'],
    [{ align: '18446744073709551615' }, 'align 18446744073709551615'],
    [{ align: '4k', 'max-transfer': 512 }, 'max-transfer 512'],
    [{ 'max-transfer': '2G' }, 'max-transfer 2147483648'],
    [{ align: '4k', 'opt-write-zero': 512 }, 'opt-write-zero 512'],
    [{ 'opt-write-zero': 8192, 'max-write-zero': 4096 }, 'max-write-zero 4096'],
    [{ align: 512, 'opt-discard': 3 }, 'opt-discard 3'],
    [{ 'opt-discard': 8192, 'max-discard': 12288 }, 'max-discard 12288'],
    [{ align: 3, 'max-transfer': '2G' }, 'align 3'],
  ])('are refused for %j', (given, what) => {
    expect(() => parse(given)).toThrow(new BlockError(Errno.EINVAL, `Cannot meet constraints with ${what}`));
  });

  it('must fit the alignment of the child', () => {
    expect(() => parse({ 'max-transfer': 512 }, 4096)).toThrow('Cannot meet constraints with max-transfer 512');
  });
});

describe('lists of permissions', () => {
  const take = (given: Record<string, OptionValue>) =>
    takePermissions(
      options(Object.fromEntries(Object.entries(given).map(([key, value]) => [`take-child-perms.${key}`, value]))),
    ).take;

  it('are added up', () => {
    expect(take({ 0: 'write', 1: 'resize', 2: 'consistent-read', 3: 'write-unchanged' })).toBe(Perm.ALL);
    expect(take({})).toBe(0);
    expect(takePermissions(options({ 'unshare-child-perms.0': 'resize' }))).toEqual({ take: 0, unshare: Perm.RESIZE });
  });

  it.each([
    [{ 0: 'foo' }, "Parameter 'null' does not accept value 'foo'"],
    [{ 0: true }, "Invalid parameter type for '[0]', expected: string"],
    [{ 1: 'write' }, 'List indices are not contiguous, saw 1 elements but 1 largest index'],
    [{ 0: 'write', 2: 'resize' }, 'List indices are not contiguous, saw 2 elements but 2 largest index'],
    [{ '-1': 'write' }, 'List indices are not contiguous, saw 1 elements but -1 largest index'],
    [{ '00': 'write' }, 'Missing list index 0'],
    [{ x: 'write' }, "Invalid parameter type for '<anonymous>', expected: array"],
    [{ '0..1': 'write' }, "Invalid parameter type for '<anonymous>', expected: array"],
    [{ '': 'write' }, "Invalid parameter type for '<anonymous>', expected: array"],
    [{ '0.x': 'write' }, "Invalid parameter type for '[0]', expected: string"],
    [{ '0.a': 'write', '0.0': 'write' }, 'Cannot mix list and non-list keys'],
    [{ 0: 'write', x: 'write' }, 'Cannot mix list and non-list keys'],
    [{ 0: 'write', '0.x': 'write' }, 'Cannot mix scalar and non-scalar keys'],
    [{ '0.x': 'write', 0: 'write' }, 'Cannot mix scalar and non-scalar keys'],
    [{ 0: 'foo', '1.x': 'write' }, "Parameter 'null' does not accept value 'foo'"],
  ])('are refused for %j', (given, message) => {
    expect(() => take(given)).toThrow(new BlockError(Errno.EINVAL, message));
  });
});

describe('file names', () => {
  const parse = (filename: string) => {
    const parsed = new Options();
    parseFilename(filename, parsed);
    return Object.fromEntries(parsed);
  };

  it('have a config file and an image', () => {
    expect(parse('blkdebug:a.conf:nbd://host:1/x')).toEqual({ config: 'a.conf', 'x-image': 'nbd://host:1/x' });
  });

  it('may leave the config file out', () => {
    expect(parse('blkdebug::img')).toEqual({ 'x-image': 'img' });
  });

  it('without the prefix are the image', () => {
    expect(parse('a:b')).toEqual({ 'x-image': 'a:b' });
  });

  it('need both', () => {
    expect(() => parse('blkdebug:img')).toThrow('blkdebug requires both config file and image path');
  });
});
