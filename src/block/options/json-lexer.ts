/** Cuts JSON into tokens, up to the end of the first value. */
import { type BlockError, invalidArgument } from '../error.ts';

type TokenKind = '{' | '}' | '[' | ']' | ':' | ',' | 'string' | 'number' | 'keyword';

/** A token with its text as it stands in the input. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const MAX_NESTING = 1024;
const MAX_TOKEN_COUNT = 2 * 1024 * 1024;

/**
 * The tokens up to where brackets and braces are balanced, or one closes too many, and whether anything but blanks
 * follows. Throws EINVAL for what cannot be a token: it is found before any error of grammar.
 */
export function tokenize(text: string): { tokens: Token[]; hasMore: boolean } {
  const tokens: Token[] = [];
  let braces = 0;
  let brackets = 0;
  let position = skipBlanks(text, 0);
  while (position < text.length) {
    const token = readToken(text, position);
    if (token.kind === '{') braces += 1;
    else if (token.kind === '}') braces -= 1;
    else if (token.kind === '[') brackets += 1;
    else if (token.kind === ']') brackets -= 1;
    if (tokens.length >= MAX_TOKEN_COUNT) throw invalidArgument('JSON token count limit exceeded');
    if (braces + brackets > MAX_NESTING) throw invalidArgument('JSON nesting depth limit exceeded');
    tokens.push(token);
    position = skipBlanks(text, position + token.text.length);
    const isOpen = braces >= 0 && brackets >= 0 && braces + brackets > 0;
    if (!isOpen) break;
  }
  return { tokens, hasMore: position < text.length };
}

function skipBlanks(text: string, start: number): number {
  let position = start;
  while (/[ \t\r\n]/.test(text[position] ?? '')) position += 1;
  return position;
}

function readToken(text: string, start: number): Token {
  const first = text[start] ?? '';
  if (isPunctuation(first)) return { kind: first, text: first };
  if (first === '"' || first === "'") return { kind: 'string', text: readString(text, start) };
  if (/[-0-9]/.test(first)) return { kind: 'number', text: readNumber(text, start) };
  const word = /^[a-z]+/.exec(text.slice(start, start + 64));
  if (word === null) throw stray(text, start, start);
  return { kind: 'keyword', text: /^[a-z]+/.exec(text.slice(start))?.[0] ?? word[0] };
}

function isPunctuation(character: string): character is '{' | '}' | '[' | ']' | ':' | ',' {
  return character !== '' && '{}[]:,'.includes(character);
}

function readString(text: string, start: number): string {
  const mark = text[start];
  for (let position = start + 1; position < text.length; position++) {
    const character = text[position] ?? '';
    if (character < ' ') throw stray(text, start, position);
    if (character === mark) return text.slice(start, position + 1);
    if (character === '\\') {
      position += 1;
      if ((text[position] ?? ' ') < ' ') throw stray(text, start, position);
    }
  }
  throw stray(text, start, text.length);
}

/** The exponent needs an integral part other than a bare 0, or a fraction: "0e1" is 0, then a keyword. */
function readNumber(text: string, start: number): string {
  let position = start;
  const isDigit = (): boolean => /[0-9]/.test(text[position] ?? '');
  const needDigits = (): void => {
    if (!isDigit()) throw stray(text, start, position);
    while (isDigit()) position += 1;
  };

  if (text[position] === '-') position += 1;
  let mayHaveExponent = true;
  if (text[position] === '0') {
    position += 1;
    if (isDigit()) throw stray(text, start, position);
    mayHaveExponent = false;
  } else {
    needDigits();
  }
  if (text[position] === '.') {
    position += 1;
    needDigits();
    mayHaveExponent = true;
  }
  if (mayHaveExponent && /[eE]/.test(text[position] ?? '')) {
    position += 1;
    if (/[-+]/.test(text[position] ?? '')) position += 1;
    needDigits();
  }
  return text.slice(start, position);
}

/** The token from `start` up to and with the character that cannot be. */
function stray(text: string, start: number, position: number): BlockError {
  return invalidArgument(`JSON parse error, stray '${text.slice(start, position + 1)}'`);
}
