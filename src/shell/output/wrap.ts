/** Long lines of prose, broken between words where the terminal ends. */
import { textWidth } from '../../util/text-width.ts';

/** How far the rest of a line is indented that has no second column. */
const HANGING = 4;

/**
 * Breaks lines that do not fit into so many columns. Their rest is indented: to the second column where two blanks
 * begin one (" name   what it is"), else a little.
 */
export function wrapLines(text: string, columns = Number.POSITIVE_INFINITY): string {
  return text
    .split('\n')
    .map((line) => (textWidth(line) > columns ? wrapLine(line, columns) : line))
    .join('\n');
}

function wrapLine(line: string, columns: number): string {
  const leading = /^ */.exec(line)?.[0].length ?? 0;
  const second = /^ *\S+(?: \S+)* {2,}(?=\S)/.exec(line)?.[0].length ?? columns;
  const indent = ' '.repeat(second <= columns / 2 ? second : leading + HANGING);
  const rows: string[] = [];
  let row = '';
  for (const word of line.match(/ *\S+/g) ?? []) {
    if (row !== '' && textWidth(row) + textWidth(word) > columns) {
      rows.push(row);
      row = indent + word.trimStart();
    } else {
      row += word;
    }
  }
  return [...rows, row].join('\n');
}
