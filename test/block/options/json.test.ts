/** JSON options: QEMU's dialect and its messages. */
import { describe, expect, it } from 'vitest';
import { formatJson, type JsonValue } from '../../../src/block/options/json.ts';
import { flattenJson, parseJson } from '../../../src/block/options/json-parser.ts';

function flatten(text: string): Record<string, unknown> {
  const value = parseJson(text);
  if (!(value instanceof Map)) throw new Error('not an object');
  return Object.fromEntries(flattenJson(value));
}

describe('parseJson', () => {
  it('reads objects, lists and scalars', () => {
    expect(flatten('{"a": {"b": [1, true, null]}, "c": "d", "e": []}')).toEqual({
      'a.b.0': 1,
      'a.b.1': true,
      'a.b.2': null,
      c: 'd',
      e: null,
    });
  });

  it('takes strings in single quotes, with the other quotes in them', () => {
    expect(parseJson(`'a"b\\'c'`)).toBe(`a"b'c`);
    expect(parseJson(`"a'b"`)).toBe(`a'b`);
  });

  it('decodes escapes and pairs of surrogates', () => {
    expect(parseJson('"\\n\\/\\u00e9\\ud83d\\ude00é"')).toBe('\n/é😀é');
  });

  it('keeps integers of 64 bits exact', () => {
    expect(parseJson('18446744073709551615')).toBe(18446744073709551615n);
    expect(parseJson('-9223372036854775808')).toBe(-9223372036854775808n);
    expect(parseJson('-0')).toBe(0);
    expect(parseJson('1e3')).toBe(1000);
    expect(parseJson('99999999999999999999')).toBe(1e20);
  });

  // Each text is what qemu-io 7.2.22 prints behind "Could not parse the JSON options: ".
  it.each([
    ['', 'Expecting a JSON value'],
    ['  ', 'Expecting a JSON value'],
    ['{', 'JSON parse error, premature EOI'],
    ['{"a"', 'JSON parse error, premature EOI'],
    ['{"a":', 'JSON parse error, premature EOI'],
    ['{"a":1', 'JSON parse error, premature EOI'],
    ['{"a":1,', 'JSON parse error, premature EOI'],
    ['[', 'JSON parse error, premature EOI'],
    ['[1', 'JSON parse error, premature EOI'],
    ['{"a":}', 'JSON parse error, expecting value'],
    ['{"a" 1}', 'JSON parse error, missing : in object pair'],
    ['{"a":1 "b":2}', 'JSON parse error, expected separator in dict'],
    ['{"a":1,}', 'JSON parse error, expecting value'],
    ['[1 2]', 'JSON parse error, expected separator in list'],
    ['{1:2}', 'JSON parse error, key is not a string in object'],
    ['{"a":1,"a":2}', 'JSON parse error, duplicate key'],
    ['{"a":foo}', "JSON parse error, invalid keyword 'foo'"],
    ['{foo:1}', "JSON parse error, invalid keyword 'foo'"],
    ['}', 'JSON parse error, expecting value'],
    ['{]', 'JSON parse error, expecting value'],
    ['{"a" 1, $}', "JSON parse error, stray '$'"],
    ['{"a', `JSON parse error, stray '"a'`],
    ['01', "JSON parse error, stray '01'"],
    ['-', "JSON parse error, stray '-'"],
    ['1.}', "JSON parse error, stray '1.}'"],
    ['1ex', "JSON parse error, stray '1ex'"],
    ['"a\tb"', "JSON parse error, stray '\"a\t'"],
    ['"\\x"', 'JSON parse error, invalid escape sequence in string'],
    ['"\\ud800"', 'JSON parse error, \\ud800 is not a valid Unicode character'],
    ['"\\u12"', 'JSON parse error, \\u12" is not a valid Unicode character'],
    ['{} {}', 'Expecting at most one JSON value'],
    ['1 $', 'Expecting at most one JSON value'],
    ['A', "JSON parse error, stray 'A'"],
    ['%s', "JSON parse error, stray '%'"],
    ['['.repeat(1025), 'JSON nesting depth limit exceeded'],
  ])('refuses %s', (text, message) => {
    expect(() => parseJson(text)).toThrow(message);
  });
});

describe('formatJson', () => {
  it('writes on one line, non-ASCII escaped', () => {
    const value: JsonValue = new Map<string, JsonValue>([
      ['a', ['x"\\\n\u007fé😀', 1, 18446744073709551615n, null, true, 0.5]],
    ]);
    expect(formatJson(value)).toBe(
      '{"a": ["x\\"\\\\\\n\\u007F\\u00E9\\uD83D\\uDE00", 1, 18446744073709551615, null, true, 0.5]}',
    );
  });
});
