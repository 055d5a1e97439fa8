/** Rows as our own commands show them: a table on a terminal, plain columns in a pipe, JSON for programs. */
import { printable, textWidth } from '../util/text-width.ts';
import type { Session } from './session.ts';

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  /** `brief`: for the eye, so that "64k" and "3.2s" will do; else exact, without units. */
  readonly text: (row: Row, brief: boolean) => string;
  readonly alignRight?: boolean;
}

export interface TableOptions {
  /** One line of JSON: the rows as they are. */
  readonly json: boolean;
  /** What a person is told if there are no rows. */
  readonly none: string;
}

/**
 * Prints rows on standard output. In a pipe a row is a line, its columns are separated by tabs and have no titles, and an
 * empty column is "-", so that `cut` and `awk` find them.
 */
export function printTable<Row extends object>(
  { output }: Session,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { json, none }: TableOptions,
): void {
  if (json) {
    output.stdout(`${JSON.stringify(rows)}\n`);
    return;
  }
  const cells = rows.map((row) => columns.map(({ text }) => printable(text(row, output.isTerminal)) || '-'));
  if (!output.isTerminal) {
    for (const line of cells) output.stdout(`${line.join('\t')}\n`);
  } else if (rows.length === 0) {
    output.stdout(`${none}\n`);
  } else {
    output.stdout(alignedLines(columns, [columns.map(({ title }) => title), ...cells]));
  }
}

function alignedLines<Row>(columns: readonly Column<Row>[], lines: readonly (readonly string[])[]): string {
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => textWidth(line[at] ?? ''))));
  return lines
    .map((line) => {
      const cells = line.map((cell, at) => {
        const filler = ' '.repeat((widths[at] ?? 0) - textWidth(cell));
        return columns[at]?.alignRight === true ? filler + cell : cell + filler;
      });
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}
