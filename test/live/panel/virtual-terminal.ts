/** A terminal without a window: @xterm/headless, and what is on its screen. */
import headless, { type Terminal } from '@xterm/headless';

export class VirtualTerminal {
  readonly #terminal: Terminal;
  /** All that was ever written. */
  written = '';

  constructor(columns: number, rows: number) {
    // As most terminals do, and not the library by itself, the line with the cursor is broken anew for a new width.
    const breaks = { reflowCursorLine: true };
    this.#terminal = new headless.Terminal({
      cols: columns,
      rows,
      scrollback: 5000,
      allowProposedApi: true,
      ...breaks,
    });
  }

  readonly write = (text: string): void => {
    this.written += text;
    this.#terminal.write(text, () => {});
  };

  resize(columns: number, rows: number): void {
    this.#terminal.resize(columns, rows);
  }

  /** Resolves when everything written so far is on the screen. */
  settle(): Promise<void> {
    return new Promise((resolve) => this.#terminal.write('', resolve));
  }

  /** The rows of the screen, without blanks at their ends. */
  get screen(): string[] {
    const { baseY } = this.#terminal.buffer.active;
    return Array.from({ length: this.#terminal.rows }, (_, row) => this.#line(baseY + row));
  }

  /** The rows that have scrolled off the top. */
  get scrollback(): string[] {
    return Array.from({ length: this.#terminal.buffer.active.baseY }, (_, row) => this.#line(row));
  }

  /** Column and row, from 0. */
  get cursor(): [number, number] {
    const { cursorX, cursorY } = this.#terminal.buffer.active;
    return [cursorX, cursorY];
  }

  #line(row: number): string {
    return this.#terminal.buffer.active.getLine(row)?.translateToString(true).trimEnd() ?? '';
  }
}
