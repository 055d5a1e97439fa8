/** Ctrl-R and Alt-.: finding a line of the history, and the last words of its lines. */
import type { Key } from 'node:readline';
import type { History } from './line-history.ts';

/** The search of one prompt. `show` puts a line behind a prompt, or behind the usual one for null. */
export class HistorySearch {
  readonly #history: History;
  readonly #show: (prompt: string | null, line: string) => void;
  /** The text searched for; null while there is no search. */
  #query: string | null = null;
  /** How many lines before the newest the match is; -1 for none. */
  #at = -1;
  #match = '';
  /** The line that was being typed when the search began. */
  #typed = '';
  /** How many lines back the word of the last Alt-. came from, and its length; null if another key came since. */
  #lastWord: { readonly at: number; readonly length: number } | null = null;

  constructor(history: History, show: (prompt: string | null, line: string) => void) {
    this.#history = history;
    this.#show = show;
  }

  /**
   * Takes a key that begins a search or belongs to one; `line` is what is typed. False if the key is for the editor.
   */
  takeKey(text: string | undefined, { ctrl = false, meta = false, name, sequence }: Key, line: string): boolean {
    if (ctrl && name === 'r') {
      if (this.#query === null) {
        this.#query = '';
        this.#typed = line;
        this.#at = -1;
        this.#match = line;
      } else {
        this.#find(this.#at + 1);
      }
    } else if (this.#query === null) {
      return false;
    } else if ((ctrl && name === 'g') || name === 'escape') {
      this.#end(this.#typed);
      return true;
    } else if (name === 'backspace') {
      this.#query = this.#query.replace(/.$/su, '');
      this.#find(0);
    } else if (
      !ctrl &&
      !meta &&
      text !== undefined &&
      /^[^\p{Cc}]+$/u.test(text) &&
      sequence?.startsWith('\x1b') !== true
    ) {
      this.#query += text;
      this.#find(Math.max(0, this.#at));
    } else {
      // Any other key works on the line that was found; return runs it.
      this.#end(this.#match);
      return false;
    }
    this.#show(`(reverse-i-search)'${this.#query}': `, this.#match);
    return true;
  }

  /** Ends a search without a line. False if there was none. */
  cancel(): boolean {
    const wasSearching = this.#query !== null;
    this.#query = null;
    return wasSearching;
  }

  /**
   * The last word of the line before, of an earlier one each time; null if there is none. It replaces the one before.
   */
  lastWord(): { readonly text: string; readonly replaces: number } | null {
    const from = this.#lastWord === null ? 0 : this.#lastWord.at + 1;
    const found = this.#history.lines.findIndex((line, at) => at >= from && line.trim() !== '');
    if (found < 0) return null;
    const text = this.#history.lines[found]?.trim().split(/\s+/).at(-1) ?? '';
    const replaces = this.#lastWord?.length ?? 0;
    this.#lastWord = { at: found, length: text.length };
    return { text, replaces };
  }

  /** The next Alt-. begins with the newest line again. */
  forgetLastWord(): void {
    this.#lastWord = null;
  }

  #find(from: number): void {
    const query = this.#query ?? '';
    const found = this.#history.lines.findIndex((line, at) => at >= from && line.includes(query));
    // Where nothing older matches, the last match stays.
    if (found < 0) return;
    this.#at = found;
    this.#match = this.#history.lines[found] ?? '';
  }

  #end(line: string): void {
    this.#query = null;
    this.#show(null, line);
  }
}
