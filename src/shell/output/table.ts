/** Rows as our own commands show them: a table on a terminal, plain columns in a pipe, JSON for programs. */
import { asciiText, isUtf8Locale } from '../../util/ascii.ts';
import { type Paint, type Style, unpainted } from '../../util/style.ts';
import { printable, textWidth } from '../../util/text-width.ts';
import type { SessionState } from '../session-state.ts';

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  /** `brief`: for the eye, so that "64k" and "3.2s" will do; else exact, without units. */
  readonly text: (row: Row, brief: boolean) => string;
  readonly alignRight?: boolean;
  /** How the cell looks on a terminal that has colours. */
  readonly style?: (row: Row) => Style;
}

/** In which of the three forms rows are shown. */
export interface TableOptions {
  /** One line of JSON: the rows as they are. */
  readonly json: boolean;
  /** The text on a terminal if there are no rows. */
  readonly none: string;
}

/**
 * Prints rows on standard output. In a pipe a row is a line, its columns are separated by tabs and have no titles, and
 * an empty column is "-", so that `cut` and `awk` find them.
 */
export function printTable<Row extends object>(
  { output }: SessionState,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { json, none }: TableOptions,
): void {
  if (json) {
    output.stdout(`${JSON.stringify(rows)}\n`);
    return;
  }
  const isAscii = output.isTerminal && !isUtf8Locale(process.env);
  const shown = (text: string): string => (isAscii ? asciiText(printable(text)) : printable(text)) || '-';
  const cells = rows.map((row) => columns.map(({ text }) => shown(text(row, output.isTerminal))));
  if (!output.isTerminal) {
    for (const line of cells) output.stdout(`${line.join('\t')}\n`);
  } else if (rows.length === 0) {
    output.stdout(`${none}\n`);
  } else {
    output.stdout(alignedLines(rows, columns, cells, output.paint ?? unpainted));
  }
}

function alignedLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  cells: readonly (readonly string[])[],
  paint: Paint,
): string {
  const widths = columns.map(({ title }) => textWidth(title));
  for (const line of cells) {
    for (const [at, cell] of line.entries()) widths[at] = Math.max(widths[at] ?? 0, textWidth(cell));
  }
  const filled = (cell: string, at: number): string => {
    const filler = ' '.repeat((widths[at] ?? 0) - textWidth(cell));
    return columns[at]?.alignRight === true ? filler + cell : cell + filler;
  };
  const title = columns.map((column, at) => filled(column.title, at)).join('  ');
  const lines = cells.map((line, index) => {
    const styles = columns.map(({ style }) => style?.(rows[index] as Row) ?? 'plain');
    return line.map((cell, at) => paint(filled(cell, at), styles[at] ?? 'plain')).join('  ');
  });
  return [title, ...lines].map((line) => `${line.trimEnd()}\n`).join('');
}
