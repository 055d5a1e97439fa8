/** Pages of a text that is longer than the screen, turned by keys as in more(1). */
import type { Key } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import { textWidth } from '../util/text-width.ts';

/** The part of the terminal that a pager uses. */
export interface PagedTerminal {
  /** Columns of the screen, and the rows of it that text scrolls in. */
  readonly size: { readonly columns: number; readonly rows: number };
  write(text: string): void;
  /** Waits for a key below a prompt, which then is gone; null for Ctrl-C, and at the end of the input. */
  readKey(prompt: string): Promise<Key | null>;
  /** Gives back a key that is not the pager's: the user goes on with the next command. */
  returnKey(key: Key): void;
}

const PROMPT = '--More-- (space: page, Enter: line, c: all, q: quit) ';
/** Waits at the end for the key that is typed for the next page, or q by habit: neither is to begin a command. */
const END_PROMPT = '--End-- (q) ';

type Step = 'page' | 'line' | 'all' | 'quit';

/** Keys of more(1), less(1) and gdb. */
const steps: Readonly<Record<string, Step>> = {
  space: 'page',
  f: 'page',
  pagedown: 'page',
  return: 'line',
  enter: 'line',
  j: 'line',
  down: 'line',
  c: 'all',
  q: 'quit',
  escape: 'quit',
};

/** Shows a text; behind each full page a key says how to go on. */
export async function showPages(terminal: PagedTerminal, text: string): Promise<void> {
  const lines = text.split(/(?<=\n)/);
  let at = 0;
  let wanted = terminal.size.rows - 1;
  let wasAsked = false;
  for (;;) {
    const end = endOfRows(lines, at, wanted, terminal.size.columns);
    terminal.write(lines.slice(at, end).join(''));
    at = end;
    const isEnd = at === lines.length;
    if (isEnd && (!wasAsked || wanted === Number.POSITIVE_INFINITY)) return;
    const key = await terminal.readKey((isEnd ? END_PROMPT : PROMPT).slice(0, terminal.size.columns - 1));
    wasAsked = true;
    if (key === null) return;
    const step = stepOf(key);
    if (step === undefined) terminal.returnKey(key);
    if (isEnd || step === undefined || step === 'quit') return;
    wanted = { page: terminal.size.rows - 1, line: 1, all: Number.POSITIVE_INFINITY }[step];
  }
}

function stepOf({ name, sequence, ctrl = false, meta = false }: Key): Step | undefined {
  if (ctrl || meta) return name === 'escape' || name === 'd' ? 'quit' : undefined;
  return steps[name ?? (sequence === ' ' ? 'space' : '')];
}

/** The line behind those that fill so many rows of the screen; at least one. */
function endOfRows(lines: readonly string[], start: number, rows: number, columns: number): number {
  let left = rows;
  let end = start;
  while (end < lines.length) {
    left -= Math.max(1, Math.ceil(textWidth(stripVTControlCharacters((lines[end] ?? '').trimEnd())) / columns));
    if (left < 0 && end > start) break;
    end += 1;
  }
  return end;
}
