/** The whole terminal, on its alternate screen: only what has changed is drawn, and the user's screen comes back. */
import type { Drawing } from './layout.ts';

const CSI = '\x1b[';
const clear = `${CSI}2J`;
const enter = `${CSI}?1049h${clear}`;
const leave = `${CSI}m${CSI}?25h${CSI}?1049l${CSI}?2026l`;

/** The screen of one program. */
export class FullScreen {
  readonly #write: (text: string) => void;
  #isEntered = false;
  /** The lines on the screen. */
  #drawn: readonly string[] = [];

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  get isEntered(): boolean {
    return this.#isEntered;
  }

  /** Takes the terminal over. */
  enter(): void {
    this.#isEntered = true;
    this.#drawn = [];
    this.#write(enter);
  }

  /** The next drawing is of everything: the terminal has another size. */
  clear(): void {
    this.#drawn = [];
    this.#write(clear);
  }

  /** Draws what has changed. */
  show({ lines, cursor }: Drawing): void {
    let text = '';
    lines.forEach((line, row) => {
      if (line !== this.#drawn[row]) text += `${CSI}${row + 1};1H${CSI}m${line}`;
    });
    this.#drawn = lines;
    this.#write(`${CSI}?2026h${text}${CSI}${cursor.row + 1};${cursor.column + 1}H${CSI}?2026l`);
  }

  /** Text to be written, synchronously, on any way out; empty if that was done. */
  restore(): string {
    if (!this.#isEntered) return '';
    this.#isEntered = false;
    return leave;
  }
}
