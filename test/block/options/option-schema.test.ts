/** Options held to a schema: what is refused, in which words. */
import { describe, expect, it } from 'vitest';
import { compatOf, defaultCompat } from '../../../src/block/compat.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { checkSchema, type SchemaObject } from '../../../src/block/options/option-schema.ts';

const leaf: SchemaObject = { members: { name: 'str', 'size?': 'int' } };
const schema: SchemaObject = {
  members: {
    kind: { values: ['a', 'b'] },
    'flag?': 'bool',
    'short?': 'uint16',
    'long?': 'uint64',
    'list?': { listOf: leaf },
    'later?': { since: 'minClusterSize', type: 'size' },
    'either?': { name: 'Either', object: () => leaf, text: 'str', mayBeNull: true },
  },
  branches: { by: 'kind', members: new Map([['b', { depth: 'int32' }]]) },
};

function refusalOf(options: Record<string, OptionValue>, compat = defaultCompat): string {
  try {
    checkSchema(new Options(Object.entries({ kind: 'a', ...options })), schema, compat);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('options of a schema', () => {
  it.each<[string, Record<string, OptionValue>]>([
    ['no more than what there must be', {}],
    ['all members', { flag: 'on', short: '0xffff', long: '18446744073709551615', either: 'x' }],
    ['values that are typed, as JSON has them', { flag: true, short: 7, either: null }],
    ['a branch', { kind: 'b', depth: '-2147483648' }],
    ['a list of objects', { 'list.0.name': 'x', 'list.1.name': 'y', 'list.1.size': '010' }],
    ['an object in the place of a text', { 'either.name': 'x' }],
    ['a name with a dot in it', { 'either.name': 'x', 'either.size': '1' }],
  ])('may be %s', (_what, options) => {
    expect(refusalOf(options)).toBe('');
  });

  it.each<[string, Record<string, OptionValue>]>([
    ["Parameter 'kind' does not accept value 'c'", { kind: 'c' }],
    ["Parameter 'depth' is missing", { kind: 'b' }],
    ["Parameter 'depth' is unexpected", { depth: '1' }],
    ["Parameter 'depth' expects int32_t", { kind: 'b', depth: '2147483648' }],
    ["Parameter 'flag' expects 'on' or 'off'", { flag: 'maybe' }],
    ["Parameter 'short' expects uint16_t", { short: '65536' }],
    ["Parameter 'short' expects integer", { short: '1k' }],
    ["Parameter 'long' expects integer", { long: '18446744073709551616' }],
    ["Parameters 'short.*' are unexpected", { 'short.x': '1' }],
    ['Internal error: parameter short invalid', { short: null }],
    ["Invalid parameter type for 'list', expected: array", { list: 'x' }],
    ["Parameter 'list.1.name' is missing", { 'list.0.name': 'x', 'list.1.size': '1' }],
    ['List indices are not contiguous, saw 2 elements but 2 largest index', { 'list.0.name': 'x', 'list.2.name': 'y' }],
    ['Cannot mix list and non-list keys', { 'list.0.name': 'x', 'list.y.name': 'y' }],
    ['Cannot mix scalar and non-scalar keys', { either: 'x', 'either.name': 'y' }],
    ["Invalid parameter type for 'either', expected: Either", { 'either.0': 'x' }],
    ["Parameter 'either.x' is unexpected", { 'either.name': 'x', 'either.x': 'y' }],
  ])('are refused: %s', (message, options) => {
    expect(refusalOf(options)).toBe(message);
  });

  it('are known from a version on', () => {
    expect(refusalOf({ later: '64k' })).toBe("Parameter 'later' is unexpected");
    expect(refusalOf({ later: '64k' }, compatOf('10.2'))).toBe('');
    expect(refusalOf({ later: '64x' }, compatOf('10.2'))).toBe("Parameter 'later' expects size");
  });
});
