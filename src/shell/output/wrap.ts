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

/**
 * Breaks paragraphs of prose that do not fit anew: lines that follow each other, of which none is indented or has
 * columns. Other lines stay as they are.
 */
export function wrapParagraphs(lines: readonly string[], columns = Number.POSITIVE_INFINITY): string[] {
  const paragraphs: string[][] = [];
  let isProse = false;
  for (const line of lines) {
    const continues = isProse && PROSE.test(line);
    isProse = PROSE.test(line);
    if (continues) paragraphs.at(-1)?.push(line);
    else paragraphs.push([line]);
  }
  return paragraphs.flatMap((paragraph) =>
    paragraph.every((line) => textWidth(line) <= columns) || !PROSE.test(paragraph[0] ?? '')
      ? paragraph
      : brokenBetweenWords(paragraph.join(' '), columns, ''),
  );
}

/** A line of prose: not indented, one column. */
const PROSE = /^\S+(?: \S+)*$/;

function wrapLine(line: string, columns: number): string {
  const leading = /^ */.exec(line)?.[0].length ?? 0;
  const second = /^ *\S+(?: \S+)* {2,}(?=\S)/.exec(line)?.[0].length ?? columns;
  const indent = ' '.repeat(second <= columns / 2 ? second : leading + HANGING);
  return brokenBetweenWords(line, columns, indent).join('\n');
}

function brokenBetweenWords(line: string, columns: number, indent: string): string[] {
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
  return [...rows, row];
}
