/** The line that is being typed, as it stands on the terminal: drawn, changed in place, taken away. */
import { stripVTControlCharacters } from 'node:util';
import { printable } from '../util/printable.ts';
import { textWidth } from '../util/text-width.ts';

/** A prompt and a line behind it. */
export interface TypedText {
  /** May have styles. */
  readonly prompt: string;
  readonly line: string;
  /** In UTF-16 units of `line`. */
  readonly cursor: number;
}

/** The part of the terminal in which lines are typed. */
export interface LineTerminal {
  /** Columns of the terminal, and the rows of it that scroll. */
  readonly size: { readonly columns: number; readonly rows: number };
  /** Writes what scrolls no row off the screen. */
  write(text: string): void;
  /** Writes what may scroll; the cursor is on the lowest row of ours behind it. */
  writeScrolling(text: string): void;
}

/** A typed line on a terminal. Nothing else may write there between a drawing and the next call. */
export interface TypedLine {
  /** Makes the line on the terminal that of `text`; draws it where the cursor is if there is none. */
  show(text: TypedText): void;
  /** Takes it off the terminal, as other output comes in its place. */
  takeAway(): void;
  /** Leaves it as it is and goes to the start of the row below. */
  end(): void;
  /** Something else has taken its place: the terminal was cleared, or another program had it. */
  forget(): void;
  /** The terminal has broken its rows anew for another width. */
  reflow(): void;
}

interface Place {
  readonly row: number;
  readonly column: number;
}

interface Layout {
  /** Where each row begins, in units of the text. */
  readonly starts: readonly number[];
  readonly cursor: Place;
  readonly end: Place;
}

/** Where a terminal puts each character. Behind a full row comes the start of the next one. */
function layOut(text: string, cursorAt: number, columns: number): Layout {
  const starts = [0];
  let column = 0;
  let at = 0;
  let cursor: Place | null = null;
  for (const character of text) {
    const width = textWidth(character);
    if (width > 0 && column + width > columns) {
      starts.push(at);
      column = 0;
    }
    if (at >= cursorAt) cursor ??= { row: starts.length - 1, column };
    column += width;
    at += character.length;
  }
  if (column >= columns) {
    starts.push(at);
    column = 0;
  }
  const end = { row: starts.length - 1, column };
  // The cursor is never behind the last column.
  if (cursor === null || cursor.column >= columns) cursor = end;
  return { starts, cursor, end };
}

/** As much of a line as a terminal can show, in as many units. */
function displayed(line: string): string {
  return printable(line.replaceAll('\t', ' '));
}

interface Drawn {
  readonly text: TypedText;
  readonly columns: number;
  readonly layout: Layout;
  /** The rows of the layout that are on the screen. */
  readonly first: number;
  readonly last: number;
}

/** On a terminal whose cursor moves. Of a line with more rows than there are, those around the cursor are shown. */
export class MovableLine implements TypedLine {
  readonly #terminal: LineTerminal;
  #drawn: Drawn | null = null;

  constructor(terminal: LineTerminal) {
    this.#terminal = terminal;
  }

  show(text: TypedText): void {
    const { columns } = this.#terminal.size;
    const before = this.#drawn;
    this.#drawn = this.#layOut(text);
    const { layout, first, last } = this.#drawn;
    if (before?.columns !== columns || before.text.prompt !== text.prompt || before.first !== first) {
      this.#redraw(before);
    } else if (before.text.line === text.line && before.last === last) {
      this.#moveCursor(before.layout.cursor, layout.cursor);
    } else if (isAppended(before, this.#drawn)) {
      this.#terminal.write(displayed(text.line.slice(before.text.line.length)));
    } else {
      this.#redraw(before);
    }
  }

  takeAway(): void {
    if (this.#drawn !== null) this.#terminal.write(toStart(this.#drawn));
    this.#drawn = null;
  }

  end(): void {
    const drawn = this.#drawn;
    if (drawn === null) return;
    const { layout, first, last, text } = drawn;
    const { end } = layout;
    const isWhole = first === 0 && last === end.row;
    if (isWhole) this.#moveCursor(layout.cursor, end);
    // The rest of a longer line, too, belongs into the scrollback.
    const whole = isWhole ? '' : toStart(drawn) + text.prompt + displayed(text.line);
    // Behind a full row the cursor is on the next one already.
    const isBelow = end.column === 0 && end.row > 0;
    if (isBelow && whole !== '') this.#terminal.writeScrolling(`${whole} \r`);
    else if (!isBelow) this.#terminal.writeScrolling(`${whole}\r\n`);
    this.#drawn = null;
  }

  forget(): void {
    this.#drawn = null;
  }

  reflow(): void {
    if (this.#drawn === null) return;
    this.#drawn = { ...this.#layOut(this.#drawn.text), columns: -1 };
  }

  /** The place of a text on the terminal as wide as it is now. */
  #layOut(text: TypedText): Drawn {
    const { columns, rows } = this.#terminal.size;
    const bare = stripVTControlCharacters(text.prompt);
    const layout = layOut(bare + displayed(text.line), bare.length + text.cursor, Math.max(1, columns));
    return { text, columns, layout, ...this.#window(layout, Math.max(1, rows)) };
  }

  /** The rows to be shown: all that fit, those that are shown already if the cursor is among them. */
  #window({ end, cursor }: Layout, rows: number): { first: number; last: number } {
    if (end.row < rows) return { first: 0, last: end.row };
    const least = Math.max(0, cursor.row - rows + 1);
    const most = Math.min(cursor.row, end.row - rows + 1);
    const first = Math.min(Math.max(this.#drawn?.first ?? most, least), most);
    return { first, last: first + rows - 1 };
  }

  #redraw(before: Drawn | null): void {
    const drawn = this.#drawn;
    if (drawn === null) return;
    const { text, layout, first, last } = drawn;
    const { starts, end, cursor } = layout;
    const bare = stripVTControlCharacters(text.prompt);
    const plain = (bare + displayed(text.line)).slice(0, starts[last + 1]);
    const body = first === 0 ? text.prompt + plain.slice(bare.length) : plain.slice(starts[first]);
    const isToEnd = last === end.row;
    // A full row ends where the next one begins only when something is written there.
    const wrap = isToEnd && end.column === 0 && end.row > 0 ? ' \r' : '';
    const start = before === null ? '\r\x1b[J' : toStart(before);
    if (last > first) this.#terminal.writeScrolling(start + body + wrap);
    else this.#terminal.write(start + body + wrap);
    this.#moveCursor(isToEnd ? end : { row: last, column: -1 }, cursor);
  }

  #moveCursor(from: Place, to: Place): void {
    const rows = to.row - from.row;
    const vertical = rows === 0 ? '' : rows < 0 ? `\x1b[${-rows}A` : `\x1b[${rows}B`;
    const horizontal = from.column === to.column ? '' : `\x1b[${to.column + 1}G`;
    if (vertical + horizontal !== '') this.#terminal.write(vertical + horizontal);
  }
}

/** To the start of the first row that is shown; nothing is left from there on. */
function toStart({ layout, first }: Drawn): string {
  const rows = layout.cursor.row - first;
  return `${rows === 0 ? '' : `\x1b[${rows}A`}\r\x1b[J`;
}

/** Whether the line was only continued, in the row that it was in. */
function isAppended(before: Drawn, now: Drawn): boolean {
  return (
    before.text.cursor === before.text.line.length &&
    now.text.cursor === now.text.line.length &&
    now.text.line.startsWith(before.text.line) &&
    before.layout.end.row === now.layout.end.row &&
    before.last === now.last &&
    now.last === now.layout.end.row
  );
}

/** On a terminal that can only print and go back (TERM=dumb). A line of several rows that changes is printed anew. */
export class PrintedLine implements TypedLine {
  readonly #terminal: LineTerminal;
  #drawn: TypedText | null = null;

  constructor(terminal: LineTerminal) {
    this.#terminal = terminal;
  }

  show(text: TypedText): void {
    const before = this.#drawn;
    this.#drawn = text;
    const whole = text.prompt + displayed(text.line);
    if (before === null) {
      this.#print(whole, text);
    } else if (before.prompt !== text.prompt) {
      this.#print(`\n${whole}`, text);
    } else if (text.line.startsWith(before.line) && before.cursor === before.line.length) {
      this.#print(displayed(text.line.slice(before.line.length)), text);
    } else if (Math.max(widthOf(before), widthOf(text)) >= this.#terminal.size.columns) {
      this.#print(`\n${whole}`, text);
    } else {
      this.#change(before, text);
    }
  }

  takeAway(): void {
    this.end();
  }

  end(): void {
    if (this.#drawn !== null) this.#terminal.writeScrolling('\n');
    this.#drawn = null;
  }

  forget(): void {
    this.#drawn = null;
  }

  reflow(): void {
    // Its rows stay as they are.
  }

  /** Prints to the end of the line and goes back to the cursor. */
  #print(printed: string, { line, cursor }: TypedText): void {
    this.#terminal.writeScrolling(printed + back(line.slice(cursor)));
  }

  #change(before: TypedText, text: TypedText): void {
    let common = 0;
    while (common < before.line.length && before.line[common] === text.line[common]) common += 1;
    common = Math.min(common, before.cursor);
    // Not between the halves of a character.
    if (/[\ud800-\udbff]/.test(text.line[common - 1] ?? '')) common -= 1;
    const rest = displayed(text.line.slice(common));
    const lost = Math.max(0, textWidth(displayed(before.line.slice(common))) - textWidth(rest));
    const erased = ' '.repeat(lost) + '\b'.repeat(lost);
    this.#print(back(before.line.slice(common, before.cursor)) + rest + erased, text);
  }
}

function widthOf({ prompt, line }: TypedText): number {
  return textWidth(prompt) + textWidth(displayed(line));
}

/** Goes back over a text. */
function back(text: string): string {
  return '\b'.repeat(textWidth(displayed(text)));
}
