/** Rows as our own commands show them: a table on a terminal, plain columns in a pipe, JSON for programs. */
import { asciiText, isUtf8Locale } from '../../util/ascii.ts';
import { type Style, unpainted } from '../../util/style.ts';
import { printable } from '../../util/printable.ts';
import { textWidth } from '../../util/text-width.ts';
import type { SessionState } from '../session-state.ts';
import type { Output } from './output.ts';

/** Between two columns on a terminal. */
const GAP = '  ';
/** The text of an empty cell. */
const EMPTY = '-';

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
  const shown = (text: string): string => (isAscii ? asciiText(printable(text)) : printable(text)) || EMPTY;
  const cells = rows.map((row) => columns.map(({ text }) => shown(text(row, output.isTerminal))));
  if (!output.isTerminal) {
    for (const line of cells) output.stdout(`${line.join('\t')}\n`);
  } else if (rows.length === 0) {
    output.stdout(`${none}\n`);
  } else {
    output.stdout(alignedLines(rows, columns, cells, output));
  }
}

function alignedLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  cells: readonly (readonly string[])[],
  { paint = unpainted, columns: available = Number.POSITIVE_INFINITY }: Pick<Output, 'paint' | 'columns'>,
): string {
  const widths = columns.map(({ title }, at) =>
    cells.reduce((width, line) => Math.max(width, textWidth(line[at] ?? '')), textWidth(title)),
  );
  // Where there is no room, columns with nothing in them would only break the rows, and so would wide gaps.
  const hasRoom = totalWidth(widths, GAP) <= available;
  const isShown = columns.map((_column, at) => hasRoom || cells.some((line) => line[at] !== EMPTY));
  const shownWidths = widths.filter((_width, at) => isShown[at]);
  const gap = totalWidth(shownWidths, GAP) <= available ? GAP : ' ';
  const aligned = (line: readonly string[], paintCell: (cell: string, at: number) => string): string => {
    const filled = line.map((cell, at) => {
      const filler = ' '.repeat((widths[at] ?? 0) - textWidth(cell));
      return paintCell(columns[at]?.alignRight === true ? filler + cell : cell + filler, at);
    });
    return `${filled
      .filter((_cell, at) => isShown[at])
      .join(gap)
      .trimEnd()}\n`;
  };
  const title = aligned(
    columns.map((column) => column.title),
    (cell) => cell,
  );
  const lines = cells.map((line, index) =>
    aligned(line, (cell, at) => paint(cell, columns[at]?.style?.(rows[index] as Row) ?? 'plain')),
  );
  return title + lines.join('');
}

function totalWidth(widths: readonly number[], gap: string): number {
  return widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1));
}
