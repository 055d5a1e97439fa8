/** blkdebug's config files: QEMU's grammar and its messages. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig, readConfigFile } from '../../../src/drivers/blkdebug/config-file.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';

function sections(text: string | Buffer) {
  return Array.from(parseConfig(Buffer.from(text)), ({ group, values }) => [group, Object.fromEntries(values)]);
}

describe('config file', () => {
  it('keeps sections of the same group apart, in order', () => {
    expect(sections('[inject-error]\nevent = "none"\n[set-state]\n[inject-error]\nerrno = "5"\n')).toEqual([
      ['inject-error', { event: 'none' }],
      ['set-state', {}],
      ['inject-error', { errno: '5' }],
    ]);
  });

  it('skips empty lines and comments that begin the line', () => {
    expect(sections('\n# comment\n[a]\n\n#x = "1"\ny = "2"\n')).toEqual([['a', { y: '2' }]]);
  });

  it('refuses a line of white space, also before the first section', () => {
    expect(() => sections('[a]\n  \n')).toThrow('parse error');
    expect(() => sections('\t\n')).toThrow('parse error');
  });

  it('refuses a setting before the first section', () => {
    expect(() => sections('x = "1"\n')).toThrow('no group defined');
  });

  it('hands out the sections before a bad line first', () => {
    const found = parseConfig(Buffer.from('[a]\n[b]\n \n'));
    expect(found.next().value).toMatchObject({ group: 'a' });
    expect(() => found.next()).toThrow('parse error');
  });

  it('knows the line of a header, and of what it refuses', () => {
    const found = parseConfig(Buffer.from(`# a\n[a]\n${'x'.repeat(1500)}\n\n[b]\n \n`), 'f.conf');
    expect(found.next().value).toMatchObject({ group: 'a', line: 2 });
    expect(() => found.next()).toThrow(expect.objectContaining({ message: 'parse error', place: 'f.conf:6' }));
  });

  it('takes the id of a header as the value of "id", which a line replaces', () => {
    expect(sections('[a "one"]\n[a "two"]\nid = "three"\n')).toEqual([
      ['a', { id: 'one' }],
      ['a', { id: 'three' }],
    ]);
  });

  it.each([
    ['[a "x"', 'a', { id: 'x' }],
    ['[a "x" and more', 'a', { id: 'x' }],
    ['[a "x\n', 'a', { id: 'x\n' }],
    ['[ a"x"]', ' a"x"', {}],
    ['[a', 'a', {}],
    ['[a\n', 'a\n', {}],
    ['[a b] c', 'a b', {}],
    ['[a ""]', 'a ""', {}],
    ['["x"]', '"x"', {}],
  ])('reads the header %j as group %j', (line, group, values) => {
    expect(sections(line)).toEqual([[group, values]]);
  });

  it('takes "[]" for a setting, since it names no group', () => {
    expect(() => sections('[]\n')).toThrow('no group defined');
    expect(sections('[a]\n[]\n[b]\n')).toEqual([
      ['a', { '[]': '' }],
      ['b', {}],
    ]);
    expect(sections('[a]\n[]x = "1"\n')).toEqual([[']x', { '[]x': '1' }]]);
  });

  it.each([
    ['x = "1"', 'x', '1'],
    ['  x\t=  "1" trailing', 'x', '1'],
    ['x ="1', 'x', '1'],
    ['x = "1\n', 'x', '1\n'],
    ['x = ""', 'x', ''],
    ['x = 1', 'x', ''],
    ['x', 'x', ''],
    ['x= "1"', 'x=', ''],
    ['x="1"', 'x="1"', ''],
    ['x = "a # b"', 'x', 'a # b'],
    ['x = "schön"', 'x', 'schön'],
    ['\u00a0x = "1"', '\u00a0x', '1'],
  ])('reads the setting %j as %j: %j', (line, key, value) => {
    expect(sections(`[a]\n${line}`)).toEqual([['a', { [key]: value }]]);
  });

  it('lets the last of several values count', () => {
    expect(sections('[a]\nx = "1"\nx = "2"\n')).toEqual([['a', { x: '2' }]]);
  });

  it('cuts names at 63 bytes', () => {
    const long = 'k'.repeat(70);
    expect(sections(`[${long}]`)).toEqual([['k'.repeat(63), {}]]);
    expect(sections(`[a]\n${long} = "1"`)).toEqual([['a', { ['k'.repeat(63)]: '' }]]);
    expect(sections(`[a "${long}"]`)).toEqual([['a', { id: 'k'.repeat(63) }]]);
  });

  it('cuts lines at 1,023 bytes and reads the rest as the next line', () => {
    const value = `x = "${'1'.repeat(1018)}`;
    expect(value.length).toBe(1023);
    expect(sections(`[a]\n${value}yy = "2"\n`)).toEqual([['a', { x: '1'.repeat(1018), yy: '2' }]]);
    expect(() => sections(`[a]\n${value}\n \n`)).toThrow('parse error');
  });

  it('ends a line at a NUL byte', () => {
    expect(sections('[a]\nx = "1\0 2"\n')).toEqual([['a', { x: '1' }]]);
    expect(() => sections('[a]\n\0x = "1"\n')).toThrow('parse error');
  });
});

describe('reading a config file', () => {
  const folder = useEmptyFolder();

  it('says why the file cannot be opened', () => {
    expect(() => [...readConfigFile(path.join(folder, 'none'))]).toThrow(
      'Could not read blkdebug config file: No such file or directory',
    );
  });

  it('says why the file cannot be read', () => {
    expect(() => [...readConfigFile(folder)]).toThrow('Cannot read config file: Is a directory');
  });

  it('reads files longer than one host call', () => {
    const file = path.join(folder, 'long.conf');
    writeFileSync(file, '[inject-error]\nevent = "none"\n'.repeat(10_000));
    expect([...readConfigFile(file)]).toHaveLength(10_000);
  });

  it('gives up on a file without end', () => {
    expect(() => [...readConfigFile('/dev/zero')]).toThrow('Cannot read config file: File too large');
  });
});
