/** Texts for a terminal, without what it would act on: names in them come from files and from users. */

/**
 * Control characters that a terminal would act on, and halves of characters: all but printable text, which is named
 * here.
 */
const unsafe = /[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\u{10ffff}]/gu;
const plain = /^[\x20-\x7e]*$/;

/** Characters that a terminal acts on, but for new lines, tabs and the styles of `style.ts`. */
// oxlint-disable-next-line no-control-regex
const harmful = /(\x1b\[(?:[1-3]|22|3[1-79])m)|[^\n\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\u{10ffff}]/gu;

/** Whether a text is of printable ASCII characters alone. */
export function isPlain(text: string): boolean {
  return plain.test(text);
}

/** One line of text, with U+FFFD for what a terminal would act on. */
export function printable(text: string): string {
  return isPlain(text) ? text : text.replace(unsafe, '\ufffd');
}

/** Lines of text with styles, with U+FFFD for what else a terminal would act on. */
export function harmless(text: string): string {
  return text.replace(harmful, (_match, style: string | undefined) => style ?? '\ufffd');
}
