/** The output of commands in the console: the latest lines, wrapped to the width of the terminal when shown. */
import { printable } from '../../util/printable.ts';
import { textWidth } from '../../util/text-width.ts';

/** Lines that can be scrolled back to. */
const MAX_LINES = 5000;
/** More of a line is not shown. */
const MAX_LINE_CHARS = 4096;
const TAB_CELLS = 8;

/** The lines so far, the last of them perhaps unfinished. */
export class OutputLog {
  #lines: string[] = [''];

  /** Text as a command printed it. */
  add(text: string): void {
    const [first = '', ...more] = text.split('\n');
    const last = this.#lines.length - 1;
    this.#lines[last] = `${this.#lines[last] ?? ''}${first}`.slice(0, MAX_LINE_CHARS);
    for (const line of more) this.#lines.push(line.slice(0, MAX_LINE_CHARS));
    if (this.#lines.length > 2 * MAX_LINES) this.#lines = this.#lines.slice(-MAX_LINES);
  }

  /** A line of its own. */
  addLine(line: string): void {
    if (this.#lines.at(-1) !== '') this.add('\n');
    this.add(`${line}\n`);
  }

  clear(): void {
    this.#lines = [''];
  }

  /**
   * The `rows` rows of `columns` cells that end `back` rows before the last one, and how far back one can go: `back`
   * is taken for no more than that.
   */
  rows(columns: number, rows: number, back: number): { readonly lines: readonly string[]; readonly back: number } {
    const wanted = rows + back;
    const wrapped: string[] = [];
    const isOpen = this.#lines.at(-1) !== '';
    for (let at = this.#lines.length - (isOpen ? 1 : 2); at >= 0 && wrapped.length < wanted; at -= 1) {
      wrapped.unshift(...wrap(this.#lines[at] ?? '', columns));
    }
    const possible = Math.max(0, Math.min(back, wrapped.length - rows));
    const end = wrapped.length - possible;
    return { lines: wrapped.slice(Math.max(0, end - rows), end), back: possible };
  }
}

/** A line as rows; tabs go on to the next eighth cell. */
function wrap(line: string, columns: number): string[] {
  const rows: string[] = [];
  let row = '';
  let width = 0;
  for (const character of line) {
    const gap = TAB_CELLS - (width % TAB_CELLS);
    const shown = character === '\t' ? ' '.repeat(Math.min(gap, Math.max(1, columns - width))) : printable(character);
    const cells = textWidth(shown);
    if (width + cells > columns) {
      rows.push(row);
      row = '';
      width = 0;
    }
    row += shown;
    width += cells;
  }
  return [...rows, row];
}
