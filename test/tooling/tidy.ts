/** The rules of style that no linter knows: what `tidy.test.ts` holds the tree against. */

import path from 'node:path';

/** The declared width; the formatter keeps code to it, but wraps no comment. */
const WIDTH = 120;
/** A longer file has a reason, which stands in the list of exceptions. */
export const LINES_MAX = 350;

/** A text that breaks a rule, as `FILE:LINE: what is wrong`. */
export type Complaint = string;

interface CommentLine {
  readonly number: number;
  /** The text without the marks of the comment. */
  readonly text: string;
  /** The first line of a comment before a declaration. */
  readonly isDocStart: boolean;
}

/**
 * The lines that are comments or end in one. A line counts by how it begins, so that no lexer is needed: the formatter
 * puts block comments on lines of their own, each beginning with a star.
 */
function commentLines(text: string): CommentLine[] {
  const found: CommentLine[] = [];
  let isInside = false;
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    const begins = trimmed.startsWith('/*');
    if (begins || (isInside && trimmed.startsWith('*'))) {
      const bare = trimmed.replace(/^\/?\*+\s?/, '').replace(/\s*\*\/$/, '');
      const previous = found.at(-1);
      // The text of `/**` alone stands on the next line.
      const isFirst = trimmed.startsWith('/**') || (previous?.number === index && previous.text === '');
      found.push({ number: index + 1, text: bare, isDocStart: isFirst && bare !== '' });
      isInside = !trimmed.endsWith('*/') && (begins || isInside);
      continue;
    }
    isInside = false;
    const match = /(?:^|\s)\/\/ (.*)$/.exec(line);
    // `// ` in a string, as in a URL, has no blank before it, or a quote behind it.
    if (match?.[1] !== undefined && !/['`]/.test(line.slice(0, match.index)))
      found.push({ number: index + 1, text: match[1], isDocStart: false });
  }
  return found;
}

/** Persons in place of code: a comment names the caller, the client, the request. */
const PERSONS =
  /\b(somebody|someone|nobody|no one|whoever|anybody|anyone|everybody|everyone|he|she|his|her|himself)\b/i;
/** The pronoun for code; a user who types is a person, and `who` a command. */
const WHO = /(?<!\b(?:user|users|person|people|client|clients) )(?<![`\w-])(who|whom)\b(?!`)/i;
/** Beginnings that cannot be read where an editor shows the comment alone. */
const BEGINNINGS = /^(What\b|The same\b|As `)/;
/** A claim of speed with a figure: it belongs to .github/docs/performance.md, with the command that measures it. */
const SPEED = [
  /\b\d[\d.,]*\s?(%|percent|ns|µs|us|times)\s.*\b(faster|slower|cost|costs|as fast|as long|of the time)\b/i,
  /\b(faster|slower|cost|costs|takes|took)\b[^.]*\s\d[\d.,]*\s?(%|percent|ns|µs|us|ms|times)(\s|$|[.,;:)])/i,
  /\b(two|three|four|five|six|seven|eight|nine|ten|twenty|a hundred|a thousand) times (as (fast|long|slow)|faster|slower)\b/i,
  /\border(s)? of magnitude\b/i,
  /\b(half|a (third|quarter|fifth|tenth|twentieth|thirtieth|hundredth)) (of|more|less|as)\b.*\b(time|start|command|run|processor)\b/i,
];

/** Complaints about the comments of a source file. */
export function commentComplaints(file: string, text: string): Complaint[] {
  const lines = text.split('\n');
  return commentLines(text).flatMap(({ number, text: comment, isDocStart }) => {
    const complaints: string[] = [];
    const width = lines[number - 1]?.length ?? 0;
    if (width > WIDTH) complaints.push(`a comment of ${width} columns`);
    const person = PERSONS.exec(comment) ?? WHO.exec(comment);
    if (person !== null) complaints.push(`"${person[0]}"`);
    const beginning = isDocStart ? BEGINNINGS.exec(comment) : null;
    if (beginning !== null) complaints.push(`begins with "${beginning[0]}"`);
    if (SPEED.some((claim) => claim.test(comment))) complaints.push('a figure of speed');
    return complaints.map((complaint) => `${file}:${number}: ${complaint}`);
  });
}

/** A file as comments name it: with its folders, or by its name in quotation marks of code. */
const FILE_NAME = /(?:^|[\s(`"'])((?:\.{1,2}\/)*[\w.-]+(?:\/[\w.-]+)+\.(?:ts|js|cjs|md|json))\b|`([\w-]+\.ts)`/g;

/**
 * Complaints about comments that name files of the project which are not there. A path may begin at the root, at `src`,
 * or at any folder that the file is in.
 */
export function pathComplaints(file: string, text: string, files: ReadonlySet<string>): Complaint[] {
  const names = new Set([...files].map((known) => known.slice(known.lastIndexOf('/') + 1)));
  const folders = file.split('/').map((_, depth, parts) => parts.slice(0, depth).join('/'));
  const isThere = (name: string): boolean =>
    [...folders, 'src'].some((folder) => files.has(path.posix.join(folder, name))) || names.has(name);
  return commentLines(text).flatMap(({ number, text: comment }) =>
    [...comment.matchAll(FILE_NAME)]
      .map(([, withFolders, alone]) => withFolders ?? alone ?? '')
      .filter((name) => !isThere(name))
      .map((name) => `${file}:${number}: there is no ${name}`),
  );
}

/** A name of the code in a comment, in mixed case: alone, behind an object, or with the parentheses of a call. */
const CODE_NAME = /`(?:\w+\.)?#?([a-z]+[A-Z]\w*)(?:\(\))?`/g;

/** The words of a source file outside of its comments. */
export function codeWords(text: string): string[] {
  const comments = new Set(commentLines(text).map(({ number }) => number));
  const isCode = (line: string, index: number): boolean => !comments.has(index + 1) || /^\s*[^\s/*]/.test(line);
  const lines = text.split('\n').filter(isCode);
  const code = lines.map((line) => line.replace(/\s\/\/ .*$/, '')).join('\n');
  return code.match(/[A-Za-z_$][\w$]*/g) ?? [];
}

/** Complaints about comments that name what no source file has any more; `known` are the words of all of them. */
export function codeNameComplaints(file: string, text: string, known: ReadonlySet<string>): Complaint[] {
  return commentLines(text).flatMap(({ number, text: comment }) =>
    [...comment.matchAll(CODE_NAME)]
      .map(([, name = '']) => name)
      .filter((name) => !known.has(name))
      .map((name) => `${file}:${number}: there is no ${name}`),
  );
}

/** Words that must not stand in texts for users: help, messages, documents. */
export function wordComplaints(file: string, text: string): Complaint[] {
  return text.split('\n').flatMap((line, index) => {
    const person = PERSONS.exec(line);
    return person === null ? [] : [`${file}:${index + 1}: "${person[0]}"`];
  });
}

/** A source file opens with a comment whose first paragraph is a sentence. */
export function openingComplaints(file: string, text: string): Complaint[] {
  const opening = /^(?:#!.*\n)?(?:'use strict';\n)?(?:\/\*\*([\s\S]*?)\*\/|((?:\/\/.*\n)+))/.exec(text);
  const words = (opening?.[1] ?? opening?.[2] ?? '').replaceAll(/^\s*(\*|\/\/)\s?/gm, '').trim();
  return /[.:]($|\s)/.test(words) ? [] : [`${file}:1: no opening sentence`];
}

export function lengthComplaints(file: string, text: string, limit = LINES_MAX): Complaint[] {
  const count = text.split('\n').length - 1;
  return count <= limit ? [] : [`${file}: ${count} lines, more than ${limit}`];
}

/** Names that more than one file has, each with its files. `isAllowed` says which files may share their name. */
export function nameComplaints(
  files: readonly string[],
  isAllowed: (name: string, same: readonly string[]) => boolean,
): Complaint[] {
  const byName = new Map<string, string[]>();
  for (const file of files) {
    const name = file.slice(file.lastIndexOf('/') + 1);
    byName.set(name, [...(byName.get(name) ?? []), file]);
  }
  return [...byName]
    .filter(([name, same]) => same.length > 1 && !isAllowed(name, same))
    .map(([name, same]) => `${name}: ${same.join(', ')}`);
}
