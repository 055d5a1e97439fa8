/** Completion at the prompt: the words of the shell and the user's aliases, and how they are listed. */
import type { Session } from '../shell/session.ts';
import { complete } from '../shell/words/completion.ts';
import { printable } from '../util/printable.ts';
import { textWidth } from '../util/text-width.ts';
import { withoutAlias } from './user-settings.ts';

/** Between two candidates in a row. */
const GAP = 2;

/**
 * The candidates for the end of a line that is typed up to there, sorted, and the part of it that they replace. A lone
 * candidate that is a whole word ends with a blank.
 */
export function candidatesFor(
  session: Session,
  aliases: ReadonlyMap<string, string>,
  line: string,
): [candidates: string[], replaced: string] {
  const [first = ''] = /\S+/.exec(line) ?? [];
  const isFirst = line.trimStart() === first;
  const { candidates, word } = complete(session.shell, isFirst ? line : withoutAlias(line, aliases));
  const names = candidates.map(printable);
  if (isFirst) names.push(...[...aliases.keys()].filter((name) => name.startsWith(first)));
  const [only = ''] = names;
  const isWhole = names.length === 1 && !only.startsWith('-') && !/[/=]$/.test(only);
  return [isWhole ? [`${only} `] : names.toSorted(), word];
}

/** Words side by side, as many as fit, sorted down the columns. */
export function inColumns(words: readonly string[], columns: number): string {
  const width = Math.max(...words.map(textWidth)) + GAP;
  const perRow = Math.max(1, Math.floor((columns + GAP) / width));
  const rowCount = Math.ceil(words.length / perRow);
  const rows = Array.from({ length: rowCount }, (_, row) => words.filter((_word, at) => at % rowCount === row));
  const padded = (word: string): string => word + ' '.repeat(width - textWidth(word));
  return rows.map((row) => `${row.map(padded).join('').trimEnd()}\n`).join('');
}
