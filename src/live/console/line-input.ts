/** The line that is typed in the console: editing keys, history, completion. Draws nothing. */
import type { Key } from 'node:readline';
import { printable } from '../../util/printable.ts';
import { textWidth } from '../../util/text-width.ts';

/** A longer line is not typed by hand. */
const MAX_LINE_CHARS = 100_000;

/** A line being typed. */
export class LineInput {
  #line = '';
  /** Where the next character goes, in UTF-16 units. */
  #cursor = 0;
  /** Newest first. */
  readonly #history: readonly string[];
  /** The place in the history; -1 for the line that is new. */
  #at = -1;
  /** The new line, while one of the history is shown. */
  #draft = '';

  /** `history` is newest first, and may grow. */
  constructor(history: readonly string[]) {
    this.#history = history;
  }

  get line(): string {
    return this.#line;
  }

  /** The text before the cursor, and behind it. */
  get halves(): readonly [before: string, behind: string] {
    return [this.#line.slice(0, this.#cursor), this.#line.slice(this.#cursor)];
  }

  /** Puts another line in its place, the cursor at its end. */
  set(line: string): void {
    this.#line = line;
    this.#cursor = line.length;
    this.#at = -1;
  }

  /** Takes the line; the next one is empty. */
  take(): string {
    const line = this.#line;
    this.set('');
    return line;
  }

  /** Puts `text` in the place of the last `length` units before the cursor. */
  replaceBefore(length: number, text: string): void {
    this.#splice(this.#cursor - length, this.#cursor, text);
  }

  /** Whether the key was for the line. */
  key(text: string | undefined, { ctrl = false, meta = false, name }: Key): boolean {
    const action = ctrl ? `ctrl-${name ?? ''}` : meta ? `alt-${name ?? ''}` : (name ?? '');
    const edit = this.#edits[action];
    if (edit !== undefined) {
      edit();
      return true;
    }
    const typed = text === undefined || ctrl || meta || printable(text) !== text ? '' : text;
    if (typed === '' || this.#line.length + typed.length > MAX_LINE_CHARS) return false;
    this.#splice(this.#cursor, this.#cursor, typed);
    return true;
  }

  readonly #edits: Readonly<Record<string, () => void>> = {
    left: () => this.#move(this.#before()),
    right: () => this.#move(this.#behind()),
    'ctrl-b': () => this.#move(this.#before()),
    'ctrl-f': () => this.#move(this.#behind()),
    home: () => this.#move(0),
    end: () => this.#move(this.#line.length),
    'ctrl-a': () => this.#move(0),
    'ctrl-e': () => this.#move(this.#line.length),
    'ctrl-left': () => this.#move(this.#wordStart()),
    'ctrl-right': () => this.#move(this.#wordEnd()),
    'alt-b': () => this.#move(this.#wordStart()),
    'alt-f': () => this.#move(this.#wordEnd()),
    backspace: () => this.#splice(this.#before(), this.#cursor, ''),
    'ctrl-h': () => this.#splice(this.#before(), this.#cursor, ''),
    delete: () => this.#splice(this.#cursor, this.#behind(), ''),
    'ctrl-w': () => this.#splice(this.#wordStart(), this.#cursor, ''),
    'alt-backspace': () => this.#splice(this.#wordStart(), this.#cursor, ''),
    'ctrl-u': () => this.#splice(0, this.#cursor, ''),
    'ctrl-k': () => this.#splice(this.#cursor, this.#line.length, ''),
    up: () => this.#recall(1),
    down: () => this.#recall(-1),
    'ctrl-p': () => this.#recall(1),
    'ctrl-n': () => this.#recall(-1),
  };

  #move(cursor: number): void {
    this.#cursor = cursor;
  }

  #splice(start: number, end: number, text: string): void {
    this.#line = this.#line.slice(0, start) + text + this.#line.slice(end);
    this.#cursor = start + text.length;
  }

  /** One character back; those that take no cell go with the one before them. */
  #before(): number {
    let cursor = this.#cursor;
    do {
      const code = this.#line.charCodeAt(cursor - 1);
      cursor -= code >= 0xdc00 && code <= 0xdfff ? 2 : 1;
    } while (cursor > 0 && textWidth(this.#line.slice(cursor, this.#cursor)) === 0);
    return Math.max(0, cursor);
  }

  #behind(): number {
    const [, behind] = this.halves;
    let cursor = this.#cursor;
    for (const [at, character] of Array.from(behind).entries()) {
      if (at > 0 && textWidth(character) > 0) break;
      cursor += character.length;
    }
    return cursor;
  }

  #wordStart(): number {
    return this.#line.slice(0, this.#cursor).replace(/\S*\s*$/, '').length;
  }

  #wordEnd(): number {
    const [before, behind] = this.halves;
    return before.length + (/^\s*\S*/.exec(behind)?.[0].length ?? 0);
  }

  #recall(step: 1 | -1): void {
    const at = this.#at + step;
    if (at < -1 || at >= this.#history.length) return;
    if (this.#at === -1) this.#draft = this.#line;
    this.set(at === -1 ? this.#draft : (this.#history[at] ?? ''));
    this.#at = at;
  }
}
