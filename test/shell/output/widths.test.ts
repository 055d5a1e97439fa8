/** Our own texts and the width of a terminal: tables, and the lines of help. */
import { describe, expect, it } from 'vitest';
import { type Column, printTable } from '../../../src/shell/output/table.ts';
import { wrapLines, wrapParagraphs } from '../../../src/shell/output/wrap.ts';
import { testShell } from '../../helpers/shell.ts';

describe('long lines of help', () => {
  it('break between words, and go on below their second column or a little to the right', () => {
    const text = ' zones  zone_append zone_close\nread [-q] off len -- reads a number\n\nshort\n';
    expect(wrapLines(text, 20)).toBe(
      ' zones  zone_append\n        zone_close\nread [-q] off len --\n    reads a number\n\nshort\n',
    );
  });

  it('stay as they are where they fit, and where a word is longer than the terminal is wide', () => {
    expect(wrapLines('fits  here\n', 10)).toBe('fits  here\n');
    expect(wrapLines('abcdefghijklmnop\n', 10)).toBe('abcdefghijklmnop\n');
    expect(wrapLines('a abcdefghijklmnop b\n', 10)).toBe('a\n    abcdefghijklmnop\n    b\n');
  });

  it('breaks a paragraph of prose as a whole, and nothing else', () => {
    const lines = [
      'one two three four five',
      'six seven.',
      '  read 0 4k    an example',
      'eight',
      '  resume',
      '  resume',
    ];
    expect(wrapParagraphs(lines, 14)).toEqual(['one two three', 'four five six', 'seven.', ...lines.slice(2)]);
    expect(wrapParagraphs(lines, 23)).toEqual(lines);
    expect(wrapParagraphs(lines)).toEqual(lines);
  });
});

describe('a table on a terminal', () => {
  interface Row {
    readonly name: string;
    readonly note: string;
  }
  const columns: readonly Column<Row>[] = [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'CONDITIONS', text: () => '' },
    { title: 'NOTE', text: ({ note }) => note },
  ];
  const rows: readonly Row[] = [{ name: 'a', note: 'x' }];

  async function tableOn(width: number | undefined): Promise<string> {
    const shell = await testShell();
    Object.assign(shell.session.output, { isTerminal: true, columns: width });
    printTable(shell.session, rows, columns, { json: false, none: 'none' });
    return shell.out();
  }

  it('has all columns where they fit, or where the width is not known', async () => {
    const whole = 'NAME  CONDITIONS  NOTE\na     -           x\n';
    expect(await tableOn(22)).toBe(whole);
    expect(await tableOn(undefined)).toBe(whole);
  });

  it('leaves columns out that have nothing to say where there is no room', async () => {
    expect(await tableOn(21)).toBe('NAME  NOTE\na     x\n');
    expect(await tableOn(10)).toBe('NAME  NOTE\na     x\n');
    expect(await tableOn(9)).toBe('NAME NOTE\na    x\n');
  });
});
