/** Option strings, key=value,…: keys, escapes, messages. */
import { describe, expect, it } from 'vitest';
import { parseOptionString } from '../../../src/block/options/option-string.ts';

const parse = (text: string, implied?: string): Record<string, unknown> =>
  Object.fromEntries(parseOptionString(text, implied));

describe('parseOptionString', () => {
  it('reads keys and values, with doubled commas in values', () => {
    expect(parse('driver=raw,file.filename=a,,b=c,x=')).toEqual({ driver: 'raw', 'file.filename': 'a,b=c', x: '' });
  });

  it('reads keys alone as on, and off with "no" before them', () => {
    expect(parse('a,nob,c=1,')).toEqual({ a: 'on', b: 'off', c: '1' });
  });

  it('takes the last of several values', () => {
    expect(parse('a=1,a=2')).toEqual({ a: '2' });
  });

  it('lets the first value go without the implied key, commas and all', () => {
    expect(parse('x,,y,a=1', 'file')).toEqual({ file: 'x,y', a: '1' });
    expect(parse('a=1', 'file')).toEqual({ a: '1' });
  });

  it('warns of keys alone, but not of help', () => {
    const lines: string[] = [];
    parseOptionString('a,nob,help,nodelay', undefined, { warn: (line) => lines.push(line) });
    expect(lines).toEqual([
      "warning: short-form boolean option 'a' deprecated",
      'Please use a=on instead',
      "warning: short-form boolean option 'nob' deprecated",
      'Please use b=off instead',
      "warning: short-form boolean option 'nodelay' deprecated",
      'Please use nodelay=on instead',
    ]);
  });

  it('refuses an id unless it is accepted', () => {
    expect(() => parse('a=1,id=x')).toThrow("Invalid parameter 'id'");
    expect(Object.fromEntries(parseOptionString('id=x', undefined, { acceptsId: true }))).toEqual({ id: 'x' });
    expect(() => parseOptionString('id=3', undefined, { acceptsId: true })).toThrow(
      "Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
    );
  });
});
