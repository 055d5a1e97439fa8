/** Completion of the word at the cursor: commands, options and their values, events, live tags, file names. */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { liveTags } from './tags.ts';
import { eventNames } from '../../block/events/events.ts';
import type { Command, OperandKind, Shell } from '../command.ts';
import { Getopt } from './getopt.ts';
import type { SessionState } from '../session-state.ts';
import { quotedWords, tokenize } from './tokenizer.ts';

/** The completion of the word before the cursor. */
export interface Completion {
  /** The candidates, sorted. */
  readonly candidates: readonly string[];
  /** The word that is being typed; it ends at the cursor. */
  readonly word: string;
}

/** Candidates for the last word of `line`, the text before the cursor. */
export function complete(shell: Shell, line: string): Completion {
  // A word that begins with a quote goes on to the end of the line.
  const open = shell.session.acceptsExtensions ? /(?:^| )(["'][^"']*)$/.exec(line)?.[1] : undefined;
  const word = open ?? line.slice(line.lastIndexOf(' ') + 1);
  const before = wordsOf(shell, line.slice(0, line.length - word.length));
  const all = before.length === 0 ? commandNames(shell) : candidatesBehind(shell, before, word);
  return { candidates: all.filter((candidate) => candidate.startsWith(word)).toSorted(), word };
}

function wordsOf({ session }: Shell, line: string): string[] {
  return session.acceptsExtensions ? quotedWords(line).map(({ text }) => text) : tokenize(line);
}

function commandNames({ commands }: Shell): string[] {
  return commands.all.map((command) => command.name);
}

function candidatesBehind(shell: Shell, before: readonly string[], word: string): readonly string[] {
  const command = shell.commands.find(before[0] ?? '');
  if (command === undefined) return [];
  const pending = optionThatWants(command, before.at(-1) ?? '');
  if (pending !== null && before.length > 1) return command.options?.valuesOf(pending) ?? [];
  const operands = operandsOf(shell, command, before);
  if (isFull(shell, command, [...before, word])) return [];
  if (word.startsWith('-') && !before.includes('--')) return optionWords(shell, command, word);
  const kind = operandKind(shell.session, command, operands, word);
  return kind === undefined ? [] : operandCandidates(shell, kind, word);
}

/** Whether these are more words than the command takes. A command that chooses the kinds of its words counts itself. */
function isFull({ session }: Shell, { operands, maxArgs, acceptsAlso }: Command, words: readonly string[]): boolean {
  return typeof operands !== 'function' && words.length - 1 > maxArgs && acceptsAlso?.(words, session) !== true;
}

/** The kind of the word behind `operands`; undefined for a command that takes none. */
function operandKind(
  session: SessionState,
  { operands: kinds = [], needsFile }: Command,
  operands: readonly string[],
  word: string,
): OperandKind | undefined {
  if (typeof kinds !== 'function') return kinds[Math.min(operands.length, kinds.length - 1)];
  return needsFile && session.backend === null ? undefined : kinds(session, operands, word);
}

/** The letter of an option at the end of a word that takes the next word as its argument; null if none does. */
function optionThatWants(command: Command, word: string): string | null {
  if (!word.startsWith('-') || word === '-' || word === '--') return null;
  for (const [index, letter] of word.slice(1).split('').entries()) {
    if (command.options?.takesArgument(letter) === true) return index === word.length - 2 ? letter : null;
  }
  return null;
}

function lettersOf({ session }: Shell, { options }: Command): string {
  return options?.letters(session.context.compat) ?? '';
}

function operandsOf(shell: Shell, command: Command, before: readonly string[]): string[] {
  const options = new Getopt([...before], lettersOf(shell, command), () => {});
  while (options.next()) {
    // Only the operands are wanted.
  }
  return options.operands;
}

/** A further letter behind those of the word. */
function optionWords(shell: Shell, command: Command, word: string): string[] {
  const letters = lettersOf(shell, command).replaceAll(':', '');
  return letters
    .split('')
    .filter((letter) => !word.includes(letter))
    .map((letter) => word + letter);
}

function operandCandidates(shell: Shell, kind: OperandKind, word: string): readonly string[] {
  if (typeof kind === 'object') return kind;
  switch (kind) {
    case 'command':
      return commandNames(shell);
    case 'event':
      return eventNames;
    case 'tag':
      return liveTags(shell.session);
    case 'file':
      return fileNames(word);
    case 'on/off':
      return ['off', 'on'];
    case 'offset':
    case 'length':
    case 'word':
      return [];
  }
}

/** Entries of the folder that the word names so far; folders end in a slash. Names with blanks need a quote first. */
function fileNames(typed: string): string[] {
  const quote = /^["']/.exec(typed)?.[0] ?? '';
  const word = typed.slice(quote.length);
  const folder = word.slice(0, word.lastIndexOf('/') + 1);
  try {
    return readdirSync(resolve(folder), { withFileTypes: true })
      .filter(
        (entry) => (quote !== '' || !entry.name.includes(' ')) && (word !== folder || !entry.name.startsWith('.')),
      )
      .map((entry) => quote + folder + entry.name + (entry.isDirectory() ? '/' : quote));
  } catch {
    // No such folder: nothing to offer.
    return [];
  }
}
