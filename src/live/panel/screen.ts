/**
 * The panel on the upper rows of a terminal, and the shell that scrolls below it.
 *
 * A scroll region keeps what is typed away from the panel. But what scrolls off the top of a region that does not begin
 * at the first row is lost to most terminals' scrollback, so output goes another way: the panel's rows are deleted, the
 * text is written to the whole screen, where it scrolls into the scrollback, and the rows are inserted again:
 *
 *     rows 1..P   panel          text moves up P rows        panel again
 *     rows P+1..  text, cursor   text is written, scrolls    text moves down P rows
 *
 * All of it is one piece of output, between marks that tell the terminal not to draw in the middle.
 *
 * Nothing here asks the terminal for anything (where the cursor is): the answers would come as typed text.
 */

const ESC = '\x1b';
const CSI = `${ESC}[`;
const saveCursor = `${ESC}7`;
const restoreCursor = `${ESC}8`;
const beginUpdate = `${CSI}?2026h`;
const endUpdate = `${CSI}?2026l`;
const resetRegion = `${CSI}r`;
const home = `${CSI}H`;
/** Down a row in the same column; scrolls at the bottom. */
const index = `${ESC}D`;

/** Cells and lines of a terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The text before and after a piece of output. */
export interface Passage {
  readonly before: string;
  readonly after: string;
}

const directly: Passage = { before: '', after: '' };

/** One terminal, shared by a panel and a shell. */
export class Screen {
  readonly #write: (text: string) => void;
  #size: Size;
  /** The content of the panel's rows; empty while there is no panel. */
  #lines: readonly string[] = [];

  constructor(write: (text: string) => void, size: Size) {
    this.#write = write;
    this.#size = size;
  }

  /** There is a panel on the screen. */
  get isShown(): boolean {
    return this.#lines.length > 0;
  }

  /** The rows that the panel takes. */
  get panelRows(): number {
    return this.#lines.length;
  }

  /** Shows these lines above the shell. Draws what has changed; makes or gives back rows if there are more or fewer. */
  show(lines: readonly string[]): void {
    if (lines.length !== this.#lines.length) {
      this.#write(beginUpdate + this.#takeAway() + this.#putBack(lines) + endUpdate);
    } else {
      const changed = this.#drawChanged(lines);
      if (changed !== '') this.#write(beginUpdate + saveCursor + changed + restoreCursor + endUpdate);
    }
    this.#lines = lines;
  }

  /** Takes the panel away; the shell has the whole screen. */
  hide(): void {
    if (!this.isShown) return;
    this.#write(beginUpdate + this.#takeAway() + endUpdate);
    this.#lines = [];
  }

  /**
   * The text around a piece of output that may scroll. Empty while there is no panel. The shell's line that is being
   * typed must have been taken away, as for any output. Write all of it at once, before anything else is called here.
   */
  passage(): Passage {
    if (!this.isShown) return directly;
    return { before: beginUpdate + this.#takeAway(), after: this.#putBack(this.#lines) + endUpdate };
  }

  /**
   * The terminal has another size. What it did to the rows on its screen cannot be known, so that the screen is
   * cleared; `below` is what the shell shows again: its latest lines, not more than fit. The panel follows by `show`.
   */
  resize(size: Size, below: string): void {
    this.#size = size;
    if (!this.isShown) return;
    this.#lines = [];
    this.#write(`${beginUpdate}${resetRegion}${home}${CSI}2J${below}${endUpdate}`);
  }

  /**
   * The text that puts everything back: the panel goes, scroll region, attributes and cursor are as before. For any way
   * out: the caller writes it, synchronously from a signal's handler if need be. There is no panel afterwards.
   */
  restore(): string {
    const text = this.#takeAway();
    this.#lines = [];
    return `${text}${CSI}m${CSI}?25h${endUpdate}`;
  }

  /** Deletes the panel's rows; the text below moves up, and the cursor with it. */
  #takeAway(): string {
    const rows = this.#lines.length;
    if (rows === 0) return '';
    return `${saveCursor}${resetRegion}${home}${CSI}${rows}M${restoreCursor}${CSI}${rows}A`;
  }

  /**
   * Makes room at the top, draws, and keeps the room with a scroll region. Rows that do not fit go to the scrollback.
   */
  #putBack(lines: readonly string[]): string {
    const rows = lines.length;
    if (rows === 0) return '';
    const makeRoom = `${index.repeat(rows)}${CSI}${rows}A${saveCursor}${home}${CSI}${rows}L`;
    const drawn = lines.map((line, row) => `${CSI}${row + 1};1H${line}`).join('');
    const region = `${CSI}${rows + 1};${this.#size.rows}r`;
    return `${makeRoom}${CSI}m${drawn}${region}${restoreCursor}${CSI}${rows}B`;
  }

  #drawChanged(lines: readonly string[]): string {
    let text = '';
    lines.forEach((line, row) => {
      if (line !== this.#lines[row]) text += `${CSI}${row + 1};1H${CSI}m${line}`;
    });
    return text;
  }
}
