/** A line of styled text that is cut or filled to an exact number of cells. */
import type { Paint, Style } from '../../util/style.ts';
import { printable } from '../../util/printable.ts';
import { cutTo, textWidth } from '../../util/text-width.ts';

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

/** A column of a list. */
export interface Field {
  /** The cells that it can use; 0 if it is empty. */
  readonly ideal: number;
  readonly alignRight?: boolean;
  /** A text that is too long loses its middle: the ends tell long tags apart. */
  readonly cutsMiddle?: boolean;
}

/** The text if it fits, else its beginning and its end with a mark between them. */
function cutMiddle(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  if (width < 4) return cutTo(text, width);
  const tailWidth = Math.floor((width - 1) / 2);
  let tail = '';
  for (const character of Array.from(text).reverse()) {
    if (textWidth(character + tail) > tailWidth) break;
    tail = character + tail;
  }
  return cutTo(text, width - textWidth(tail)) + tail;
}

/**
 * A row of a list as parts: fields of width 0 are left out, a cell lies between two others. A field may have several
 * parts.
 */
export function tableRow(
  fields: readonly Field[],
  widths: readonly number[],
  cells: readonly (readonly Part[])[],
): Part[] {
  const row: Part[] = [];
  fields.forEach(({ alignRight = false, cutsMiddle = false }, index) => {
    const width = widths[index] ?? 0;
    if (width === 0) return;
    if (row.length > 0) row.push(part(' '));
    const shown: Part[] = [];
    let room = width;
    for (const { text, style } of cells[index] ?? []) {
      const cut = cutsMiddle ? cutMiddle(text, room) : cutTo(text, room);
      shown.push({ text: cut, style });
      room -= textWidth(cut);
    }
    const filler = part(' '.repeat(Math.max(0, room)));
    row.push(...(alignRight ? [filler, ...shown] : [...shown, filler]));
  });
  return row;
}

/** The parts cut or filled to exactly `width` cells. */
export function fillParts(parts: readonly Part[], width: number): Part[] {
  const filled: Part[] = [];
  let room = width;
  for (const { text, style } of parts) {
    const cut = cutTo(text, room);
    filled.push({ text: cut, style });
    room -= textWidth(cut);
    if (cut !== text) break;
  }
  return room > 0 ? [...filled, part(' '.repeat(room))] : filled;
}
