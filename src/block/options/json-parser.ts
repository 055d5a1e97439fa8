/** JSON as QEMU reads it: strings may have single quotes, and errors read like QEMU's. Values as dotted options. */
import { type BlockError, invalidArgument } from '../error.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { tokenize, type Token } from './json-lexer.ts';
import { hashOrder, Options } from './options.ts';

/** Parses exactly one value. Throws EINVAL with QEMU's texts. */
export function parseJson(text: string): JsonValue {
  const { tokens, hasMore } = tokenize(text);
  if (tokens.length === 0) throw invalidArgument('Expecting a JSON value');
  const value = new Parser(tokens).value();
  if (hasMore) throw invalidArgument('Expecting at most one JSON value');
  return value;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  #peek(): Token {
    const token = this.#tokens[this.#next];
    if (token === undefined) throw jsonError('premature EOI');
    return token;
  }

  #pop(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  value(): JsonValue {
    const token = this.#peek();
    switch (token.kind) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case 'string':
        this.#pop();
        return unescape(token.text);
      case 'number':
        this.#pop();
        return number(token.text);
      case 'keyword':
        this.#pop();
        return keyword(token.text);
      default:
        throw jsonError('expecting value');
    }
  }

  #object(): JsonObject {
    const object: JsonObject = new Map();
    this.#pop();
    if (this.#peek().kind === '}') {
      this.#pop();
      return object;
    }
    for (;;) {
      this.#pair(object);
      const { kind } = this.#pop();
      if (kind === '}') return object;
      if (kind !== ',') throw jsonError('expected separator in dict');
    }
  }

  #pair(object: JsonObject): void {
    const key = this.value();
    if (typeof key !== 'string') throw jsonError('key is not a string in object');
    if (this.#pop().kind !== ':') throw jsonError('missing : in object pair');
    const value = this.value();
    if (object.has(key)) throw jsonError('duplicate key');
    object.set(key, value);
  }

  #array(): JsonValue[] {
    const array: JsonValue[] = [];
    this.#pop();
    if (this.#peek().kind === ']') {
      this.#pop();
      return array;
    }
    for (;;) {
      array.push(this.value());
      const { kind } = this.#pop();
      if (kind === ']') return array;
      if (kind !== ',') throw jsonError('expected separator in list');
    }
  }
}

function jsonError(message: string): BlockError {
  return invalidArgument(`JSON parse error, ${message}`);
}

function keyword(text: string): boolean | null {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  throw jsonError(`invalid keyword '${text}'`);
}

/** An integer within 64 bits stays exact: as a number up to 2^53, as a bigint beyond; everything else is a double. */
function number(text: string): number | bigint {
  if (/^-?[0-9]+$/.test(text)) {
    const exact = BigInt(text);
    if (exact >= -(1n << 63n) && exact < 1n << 64n) {
      const rounded = Number(exact);
      return Number.isSafeInteger(rounded) ? rounded : exact;
    }
  }
  return Number(text);
}

const simpleEscapes: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** The text within a string token, quotes included. */
function unescape(token: string): string {
  const end = token.length - 1;
  let text = '';
  for (let position = 1; position < end; ) {
    const character = String.fromCodePoint(token.codePointAt(position) ?? 0);
    if (character !== '\\') {
      if (!isCharacter(character.codePointAt(0) ?? 0)) throw jsonError('invalid UTF-8 sequence in string');
      text += character;
      position += character.length;
      continue;
    }
    const letter = token[position + 1] ?? '';
    if (letter === 'u') {
      const escaped = unicodeEscape(token, position);
      text += escaped.character;
      position += escaped.length;
    } else {
      const plain = simpleEscapes[letter];
      if (plain === undefined) throw jsonError('invalid escape sequence in string');
      text += plain;
      position += 2;
    }
  }
  return text;
}

/** "\uXXXX" or a pair of surrogates at `position`. */
function unicodeEscape(token: string, position: number): { character: string; length: number } {
  let code = hex4(token, position + 2);
  let length = 6;
  if (code >= 0xd800 && code <= 0xdbff && token.startsWith('\\u', position + 6)) {
    const trailing = hex4(token, position + 8);
    if (trailing >= 0xdc00 && trailing <= 0xdfff) {
      code = 0x10000 + ((code & 0x3ff) << 10) + (trailing & 0x3ff);
      length = 12;
    } else {
      code = -1;
    }
  }
  if (!isCharacter(code))
    throw jsonError(`${token.slice(position, position + length)} is not a valid Unicode character`);
  // A name with a NUL is none that the host could have; qemu-io 7.2 makes two bytes of it that are no character.
  return { character: code === 0 ? '\ufffd\ufffd' : String.fromCodePoint(code), length };
}

function hex4(text: string, position: number): number {
  const digits = text.slice(position, position + 4);
  return /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
}

/** Whether a code point is neither a surrogate nor one of Unicode's noncharacters. */
function isCharacter(code: number): boolean {
  if (code < 0 || code > 0x10ffff) return false;
  if ((code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe) return false;
  return code < 0xd800 || code > 0xdfff;
}

/**
 * Turns nested objects and lists into dotted keys: {"a": {"b": [1, 2]}} is a.b.0 and a.b.1. Empty ones count as null,
 * as "not given"; but for "backing" null says that there shall be none, so that an empty one is a value of no use.
 */
export function flattenJson(object: JsonObject): Options {
  const options = new Options();
  const putEmpty = (key: string): void => {
    options.set(key, /(^|\.)backing$/.test(key) ? false : null);
  };
  const put = (key: string, value: JsonValue): void => {
    if (value instanceof Map) {
      if (value.size === 0) putEmpty(key);
      for (const name of hashOrder([...value.keys()])) put(`${key}.${name}`, value.get(name) ?? null);
    } else if (Array.isArray(value)) {
      if (value.length === 0) putEmpty(key);
      for (const [index, item] of value.entries()) put(`${key}.${index}`, item);
    } else {
      options.set(key, value);
    }
  };
  const isNested = (value: JsonValue | undefined): boolean => typeof value === 'object' && value !== null;
  for (const [key, value] of object) if (!isNested(value)) put(key, value);
  for (const key of hashOrder([...object.keys()])) if (isNested(object.get(key))) put(key, object.get(key) ?? null);
  return options;
}
