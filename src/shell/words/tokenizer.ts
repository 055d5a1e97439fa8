/** Cuts a command line into words. */

/**
 * The words of a line. Only spaces separate; there are no quotes, and a tab belongs to its word. A line ends at its
 * first NUL. As observed with qemu-io 7.2.22.
 */
export function tokenize(line: string): string[] {
  const nul = line.indexOf('\0');
  const end = nul < 0 ? line.length : nul;
  const words: string[] = [];
  // By hand: `split` is a call into the engine's runtime, on the way of every command.
  for (let start = 0; start < end; ) {
    const space = line.indexOf(' ', start);
    const stop = space < 0 || space > end ? end : space;
    if (stop > start) words.push(line.slice(start, stop));
    start = stop + 1;
  }
  return words;
}

/** A word of a line that may hold quotes. */
export interface QuotedWord {
  /** Without its quotes. */
  readonly text: string;
  /** Where it starts in the line, its opening quote included. */
  readonly start: number;
  /** The closing quote is missing. */
  readonly isOpen: boolean;
}

/**
 * The words of a line that may hold quotes and a comment: on a terminal and in files. A word that begins with `"` or
 * `'` goes to the same quote before a space or the end; in double quotes a backslash takes `"` and `\\` as they are. A
 * word that begins with `#` and is not an event's number (`#7`) begins a comment, as does any at the start of the line.
 */
export function quotedWords(line: string): QuotedWord[] {
  const words: QuotedWord[] = [];
  const wordAt = /(?:^|(?<= ))(?:"((?:[^"\\]|\\.)*)"(?= |$)|'([^']*)'(?= |$)|([^ ]+))/g;
  for (const match of line.matchAll(wordAt)) {
    const [whole, double, single, plain = ''] = match;
    if (plain.startsWith('#') && (words.length === 0 || !/^#\d/.test(plain))) break;
    const text = double?.replaceAll(/\\(["\\])/g, '$1') ?? single ?? plain;
    words.push({ text, start: match.index, isOpen: /^["']/.test(plain) && whole === plain });
  }
  return words;
}

/** A word as `quotedWords` reads it back. */
export function quoted(word: string): string {
  return /^["']| |^$/.test(word) ? `"${word.replaceAll(/["\\]/g, '\\$&')}"` : word;
}
