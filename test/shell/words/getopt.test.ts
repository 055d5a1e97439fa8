/** Options of commands: getopt's order and messages. */
import { describe, expect, it } from 'vitest';
import { Getopt, type LongOption } from '../../../src/shell/words/getopt.ts';
import { tokenize } from '../../../src/shell/words/tokenizer.ts';

const long: readonly LongOption[] = [
  { name: 'help', argument: 'none', value: 'h' },
  { name: 'cmd', argument: 'required', value: 'c' },
  { name: 'copy-on-read', argument: 'none', value: 'C' },
  { name: 'cache', argument: 'required', value: 't' },
  { name: 'colour', argument: 'optional', value: 'k' },
  { name: 'color', argument: 'optional', value: 'k' },
];

/** "name=argument …  | operands", and what was said. */
function run(
  line: string,
  short: string,
  table: readonly LongOption[] | null = null,
): { result: string; said: string } {
  let said = '';
  const options = new Getopt(
    tokenize(`prog ${line}`),
    short,
    (text) => {
      said += text;
    },
    table,
  );
  const found: string[] = [];
  while (options.next()) found.push(options.argument === '' ? options.name : `${options.name}=${options.argument}`);
  return { result: `${found.join(' ')} | ${options.operands.join(' ')}`, said };
}

describe('short options', () => {
  it.each([
    ['-q -v 1 2', 'q v | 1 2'],
    ['-qv 1 2', 'q v | 1 2'],
    ['1 2 -q', 'q | 1 2'],
    ['1 -q 2 -P 5 3', 'q P=5 | 1 2 3'],
    ['-P0xa 1', 'P=0xa | 1'],
    ['-qP 0xa 1', 'q P=0xa | 1'],
    ['1 -- -q 2', ' | 1 -q 2'],
    ['-q 1 -- 2 -v', 'q | 1 2 -v'],
    ['- -q', 'q | -'],
    ['-P -q', 'P=-q | '],
    ['-P --', 'P=-- | '],
    ['-o -O5', 'o O=5 | '],
    ['', ' | '],
  ])('%j gives %j', (line, expected) => {
    const { result, said } = run(line, 'P:qvo::O::');
    expect(result).toBe(expected);
    expect(said).toBe('');
  });

  it.each([
    ['-z', "prog: invalid option -- 'z'\n"],
    ['-1', "prog: invalid option -- '1'\n"],
    ['-:', "prog: invalid option -- ':'\n"],
    ['--foo', "prog: invalid option -- '-'\nprog: invalid option -- 'f'\n"],
    ['-P', "prog: option requires an argument -- 'P'\n"],
    ['1 -vP', "prog: option requires an argument -- 'P'\n"],
  ])('%j is refused as glibc does', (line, expected) => {
    const { said } = run(line, 'P:qvo');
    expect(said).toBe(expected);
  });
});

describe('long options', () => {
  it.each([
    ['--help x', 'h | x'],
    ['--he x', 'h | x'],
    ['--cmd a b', 'c=a | b'],
    ['--cmd=a b', 'c=a | b'],
    ['--cmd= b', 'c | b'],
    ['x --cac=y -C z', 't=y C | x z'],
    ['--col', 'k | '],
    ['--col=red', 'k=red | '],
    ['-- --help', ' | --help'],
  ])('%j gives %j', (line, expected) => {
    const { result, said } = run(line, 'hc:Ct:', long);
    expect(result).toBe(expected);
    expect(said).toBe('');
  });

  it.each([
    ['--foo', "prog: unrecognized option '--foo'\n"],
    ['--foo=1', "prog: unrecognized option '--foo=1'\n"],
    ['--help=1', "prog: option '--help' doesn't allow an argument\n"],
    ['--he=1', "prog: option '--help' doesn't allow an argument\n"],
    ['--cac', "prog: option '--cache' requires an argument\n"],
    [
      '--c=1',
      "prog: option '--c=1' is ambiguous; possibilities: '--cmd' '--copy-on-read' '--cache' '--colour' '--color'\n",
    ],
  ])('%j is refused as glibc does', (line, expected) => {
    expect(run(line, 'hc:Ct:', long)).toEqual({ result: expect.stringContaining('?'), said: expected });
  });
});

describe('tokenize', () => {
  it.each([
    ['read 0 512', ['read', '0', '512']],
    ['  read   0 ', ['read', '0']],
    ['a\tb "c d"', ['a\tb', '"c', 'd"']],
    ['', []],
    ['   ', []],
    ['a b\0 c', ['a', 'b']],
  ])('cuts %j at spaces alone', (line, expected) => expect(tokenize(line)).toEqual(expected));
});
