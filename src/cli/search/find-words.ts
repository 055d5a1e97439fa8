/** The command line that runs a find in a program that knows blkdebug: the search's, with rules from a file. */
import { Options } from '../../block/options/options.ts';
import { parseOptionString } from '../../block/options/option-string.ts';
import type { Invocation } from '../command-line.ts';

/** Commands of qemu-io 7.2, and their other names. */
const stockCommands: ReadonlySet<string> = new Set(
  (
    'abort a aio_flush aio_read aio_write alloc break c close d discard f flush h help ? i info l length map o open q quit ' +
    'r read readv remove_break reopen resume s sigraise sleep t truncate wait_break w write writev'
  ).split(' '),
);

/** Whether qemu-io knows all commands of a script. */
export function isStock(lines: readonly string[]): boolean {
  return lines.every((line) => {
    const [name] = line.trim().split(/\s+/);
    return name === undefined || name === '' || stockCommands.has(name);
  });
}

/**
 * The words for the program: the options of the search, and the image with a blkdebug node that reads `rules`, a file
 * name, or has no rules if it is empty. `renamed` gives each file of the image another name. Null if the scenario's own
 * rules leave no place for others.
 */
export function findWords(
  words: readonly string[],
  { file, imageOptions }: Invocation,
  rules: string,
  renamed: (name: string) => string,
): string[] | null {
  const image = file ?? '';
  const at = words.lastIndexOf(image);
  const named = imageOptions ? optionsWithRules(image, rules, renamed) : nameWithRules(image, rules, renamed);
  if (named === null) return null;
  const others = words.filter((word, index) => index !== at && word !== '-D' && word !== '--blkdebug');
  return [...others, named];
}

function nameWithRules(image: string, rules: string, renamed: (name: string) => string): string | null {
  const [, own, rest = image] = /^blkdebug:([^:]*):([^]*)$/.exec(image) ?? [];
  if (own !== undefined && own !== '' && rules !== '') return null;
  return `blkdebug:${own === undefined || own === '' ? rules : own}:${renamed(rest)}`;
}

function optionsWithRules(image: string, rules: string, renamed: (name: string) => string): string | null {
  const given = parseOptionString(image, undefined, { warn: () => {}, acceptsId: true });
  const options = given.get('file.driver') === 'blkdebug' ? given : withBlkdebug(given);
  const hasOwn = [...options.keys()].some((key) => /^file\.(config$|inject-error|set-state)/.test(key));
  if (hasOwn && rules !== '') return null;
  if (rules !== '') options.set('file.config', rules);
  return [...options].map(([key, value]) => `${key}=${renamed(String(value)).replaceAll(',', ',,')}`).join(',');
}

/** Puts a blkdebug node over the file of a format. */
export function withBlkdebug(options: Options): Options {
  const changed = new Options();
  for (const [key, value] of options) {
    changed.set(key.startsWith('file.') ? `file.image.${key.slice('file.'.length)}` : key, value);
  }
  changed.set('file.driver', 'blkdebug');
  return changed;
}
