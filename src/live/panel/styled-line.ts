/** A line of styled text that is cut or filled to an exact number of cells. */
import type { Paint, Style } from '../../util/style.ts';
import { cutTo, printable, textWidth } from '../../util/text-width.ts';

/** A piece of a line. */
export interface Part {
  readonly text: string;
  readonly style: Style;
}

/** No terminal has more cells in a row. */
const MAX_TEXT_CHARS = 4096;

/** A text of one style; characters that a terminal would act on are replaced. */
export function part(text: string, style: Style = 'plain'): Part {
  return { text: printable(text.length > MAX_TEXT_CHARS ? text.slice(0, MAX_TEXT_CHARS) : text), style };
}

/** The parts as one string of exactly `width` cells, in the styles of `paint`. */
export function renderParts(parts: readonly Part[], width: number, paint: Paint): string {
  let line = '';
  let room = width;
  for (const { text, style } of parts) {
    if (room <= 0) break;
    const cut = cutTo(text, room);
    line += paint(cut, style);
    room -= textWidth(cut);
    // A wide character that did not fit leaves a cell behind; nothing may follow.
    if (cut !== text) break;
  }
  return line + ' '.repeat(Math.max(0, room));
}

/** How many cells of a terminal they take. */
export function partsWidth(parts: readonly Part[]): number {
  let width = 0;
  for (const { text } of parts) width += textWidth(text);
  return width;
}

/** A field of a table: between `min` and `ideal` cells wide. */
export interface Field {
  readonly ideal: number;
  readonly min: number;
  /** Fields are left out in the order of these numbers where there is no room; undefined: never. */
  readonly drop?: number;
  readonly alignRight?: boolean;
  /** Room that is left goes to the fields in the order of these numbers; default: last. */
  readonly grow?: number;
}

const LAST = Number.MAX_SAFE_INTEGER;

/** The cells that a table of these fields takes at its widest. */
export function idealWidth(fields: readonly Field[]): number {
  const shown = fields.filter(({ ideal }) => ideal > 0);
  return shown.reduce((sum, { ideal }) => sum + ideal, shown.length - 1);
}

/** The widths of a table's fields in `width` cells, with a cell between them; 0 for fields that are empty or left out. */
export function fitFields(fields: readonly Field[], width: number): number[] {
  const droppable = fields.flatMap(({ drop }) => (drop === undefined ? [] : [drop])).sort((a, b) => a - b);
  let dropped = Number.NEGATIVE_INFINITY;
  const isKept = ({ drop, ideal }: Field): boolean => ideal > 0 && (drop === undefined || drop > dropped);
  const needed = (): number => {
    const kept = fields.filter(isKept);
    return kept.reduce((sum, { min }) => sum + min, kept.length - 1);
  };
  for (const drop of droppable) {
    if (needed() <= width) break;
    dropped = drop;
  }
  let room = Math.max(0, width - needed());
  const widths = fields.map((field) => (isKept(field) ? field.min : 0));
  const order = fields.map((field, index) => ({ field, index })).filter(({ field }) => isKept(field));
  order.sort((a, b) => (a.field.grow ?? LAST) - (b.field.grow ?? LAST));
  for (const { field, index } of order) {
    const extra = Math.min(room, field.ideal - field.min);
    widths[index] = field.min + extra;
    room -= extra;
  }
  return widths;
}

/** A row of a table as parts. A cell may consist of several. */
export function tableRow(
  fields: readonly Field[],
  widths: readonly number[],
  cells: readonly (readonly Part[])[],
): Part[] {
  const row: Part[] = [];
  fields.forEach((field, index) => {
    const width = widths[index] ?? 0;
    if (width === 0) return;
    if (row.length > 0) row.push(part(' '));
    const cell = cells[index] ?? [];
    const filler = part(' '.repeat(Math.max(0, width - partsWidth(cell))));
    if (field.alignRight === true) row.push(filler);
    let room = width;
    for (const { text, style } of cell) {
      const cut = cutTo(text, room);
      row.push({ text: cut, style });
      room -= textWidth(cut);
    }
    if (field.alignRight !== true) row.push(room < width ? part(' '.repeat(Math.max(0, room))) : filler);
  });
  return row;
}
