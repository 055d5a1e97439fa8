/** Text for terminals whose locale is not UTF-8. */
import { textWidth } from './text-width.ts';

/** The lines and marks of our own, each as an ASCII character that says the same. */
const marks: Readonly<Record<string, string>> = {
  '\u2502': '|',
  '\u2500': '-',
  '\u250c': '+',
  '\u2510': '+',
  '\u2514': '+',
  '\u2518': '+',
  '\u25a0': '*',
  '\u25b8': '>',
  '\u00d7': 'x',
  '\u2192': '>',
  '\u2190': '<',
  '\u2026': '~',
  '\u00b7': '.',
};

/** The text in ASCII, as many cells wide: our marks by others, any other character by "?". Escape sequences stay. */
export function asciiText(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[^\x00-\x7f]/gu, (character) => marks[character] ?? '?'.repeat(textWidth(character)));
}

/**
 * Whether the environment names a locale of UTF-8. As in POSIX the first of three variables that is set decides; C if
 * none is.
 */
export function isUtf8Locale({ LC_ALL, LC_CTYPE, LANG }: Readonly<Record<string, string | undefined>>): boolean {
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || 'C');
}
