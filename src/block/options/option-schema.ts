/**
 * Options held to a schema: QEMU checks those of some nodes as the arguments of its monitor commands, with all that is
 * below them, before anything is opened. The texts are those of its visitor for options given as text.
 */
import { parseExactSize64 } from '../../util/exact-size.ts';
import { parseSigned, parseUnsigned } from '../../util/parse-number.ts';
import type { Change, Compat } from '../compat.ts';
import { invalidArgument } from '../error.ts';
import { hashOrder, type Options, optionText, parseBool } from './options.ts';

/** A value of a schema; an integer may have a suffix of its bits. */
export type SchemaType =
  | 'str'
  | 'bool'
  | 'int'
  | 'int32'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'size'
  | { readonly values: readonly string[] }
  | { readonly listOf: SchemaType }
  /** A member that versions of QEMU have from a change on. */
  | { readonly since: Change; readonly type: SchemaType }
  | SchemaObject
  | SchemaAlternate;

/** The members of an object, in the order of their checks; the name of one that may be left out ends in `?`. */
export type SchemaMembers = Readonly<Record<string, SchemaType>>;

/** An object; which members it has beside `members` may be decided by the value of one of them. */
export interface SchemaObject {
  readonly members: SchemaMembers;
  readonly branches?: { readonly by: string; readonly members: ReadonlyMap<string, SchemaMembers> };
}

/** An object or a text, which is held to `text`; `name` is QEMU's for both. */
export interface SchemaAlternate {
  readonly name: string;
  /** Called when it is needed: nodes are of nodes. */
  readonly object: () => SchemaObject;
  readonly text: SchemaType;
  readonly mayBeNull?: boolean;
}

/** Options as a tree: what was given as text or became one, null, objects and lists. */
type Tree = string | null | Tree[] | Map<string, Tree>;

/** Throws EINVAL, with QEMU's text, if options are not as a schema says. */
export function checkSchema(options: Options, schema: SchemaObject, compat: Compat): void {
  const flat = new Map<string, Tree>();
  for (const [key, value] of options.ordered()) flat.set(key, value === null ? null : optionText(value));
  new Check(compat).object(unflatten(flat), schema, '');
}

/** Splits keys at their dots. Objects whose keys are numbers are lists. */
function unflatten(flat: ReadonlyMap<string, Tree>): Tree {
  const groups = new Map<string, Tree>();
  for (const key of hashOrder([...flat.keys()])) {
    const value = flat.get(key) ?? null;
    const [prefix, rest] = splitKey(key);
    const known = groups.get(prefix);
    if (known !== undefined && (rest === null || !(known instanceof Map))) {
      throw invalidArgument('Cannot mix scalar and non-scalar keys');
    }
    if (rest === null) groups.set(prefix, value);
    else if (known instanceof Map) known.set(rest, value);
    else groups.set(prefix, new Map([[rest, value]]));
  }
  const tree = new Map<string, Tree>();
  for (const key of hashOrder([...groups.keys()])) {
    const value = groups.get(key) ?? null;
    tree.set(key, value instanceof Map ? unflatten(value) : value);
  }
  return isList(tree) ? listOf(tree) : tree;
}

/** A key up to its first dot, and what follows it; null without a dot. Two dots stand for one that splits nothing. */
function splitKey(key: string): [string, string | null] {
  const [match = key] = /^(?:[^.]|\.\.)*/.exec(key) ?? [];
  const prefix = match.replaceAll('..', '.');
  return match.length === key.length ? [prefix, null] : [prefix, key.slice(match.length + 1)];
}

function isList(tree: ReadonlyMap<string, Tree>): boolean {
  const kinds = new Set([...tree.keys()].map((key) => /^\s*[-+]?\d+$/.test(key)));
  if (kinds.size > 1) throw invalidArgument('Cannot mix list and non-list keys');
  return kinds.has(true);
}

function listOf(tree: ReadonlyMap<string, Tree>): Tree[] {
  return Array.from({ length: tree.size }, (_, index) => {
    const item = tree.get(String(index));
    if (item !== undefined) return item;
    const last = Math.max(...[...tree.keys()].map(Number));
    throw invalidArgument(`List indices are not contiguous, saw ${tree.size} elements but ${last} largest index`);
  });
}

function textOf(value: Tree, path: string): string {
  if (value === null) throw invalidArgument(`Internal error: parameter ${path} invalid`);
  if (typeof value !== 'string') throw invalidArgument(`Parameters '${path}.*' are unexpected`);
  return value;
}

/** The least and the greatest number of each type that is shorter than it is read. */
const shortIntegers: Readonly<Record<string, readonly [bigint, bigint]>> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint16: [0n, 2n ** 16n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
};

function checkScalar(text: string, type: string, name: string | null, path: string): void {
  if (type === 'str') return;
  if (type === 'bool') {
    parseBool(path, text);
    return;
  }
  if (type === 'size') {
    // The only one in a schema is younger than the rules of 8.1.
    if (typeof parseExactSize64(text) === 'string') throw invalidArgument(`Parameter '${path}' expects size`);
    return;
  }
  const value = type.startsWith('u') ? parseUnsigned(text) : parseSigned(text);
  if (typeof value !== 'bigint') throw invalidArgument(`Parameter '${path}' expects integer`);
  const [least = value, most = value] = shortIntegers[type] ?? [];
  if (value < least || value > most) throw invalidArgument(`Parameter '${name ?? 'null'}' expects ${type}_t`);
}

function checkValue(text: string, values: readonly string[], name: string | null): void {
  if (!values.includes(text)) throw invalidArgument(`Parameter '${name ?? 'null'}' does not accept value '${text}'`);
}

/** The checks of a tree for a version of QEMU. A value has its own name, null for an item of a list, and a path. */
class Check {
  readonly #compat: Compat;

  constructor(compat: Compat) {
    this.#compat = compat;
  }

  object(value: Tree, { members, branches }: SchemaObject, path: string): void {
    if (!(value instanceof Map)) throw invalidArgument(`Invalid parameter type for '${path}', expected: object`);
    const left = new Map(value);
    const prefix = path === '' ? '' : `${path}.`;
    this.#takeMembers(left, members, prefix);
    if (branches !== undefined) {
      const branch = value.get(branches.by);
      const own = typeof branch === 'string' ? branches.members.get(branch) : undefined;
      this.#takeMembers(left, own ?? {}, prefix);
    }
    const [unexpected] = left.keys();
    if (unexpected !== undefined) throw invalidArgument(`Parameter '${prefix}${unexpected}' is unexpected`);
  }

  #takeMembers(left: Map<string, Tree>, members: SchemaMembers, prefix: string): void {
    for (const [key, type] of Object.entries(members)) {
      if (typeof type === 'object' && 'since' in type && !this.#compat.has(type.since)) continue;
      const name = key.endsWith('?') ? key.slice(0, -1) : key;
      const value = left.get(name);
      left.delete(name);
      if (value !== undefined) this.#value(value, type, name, prefix + name);
      else if (name === key) throw invalidArgument(`Parameter '${prefix}${name}' is missing`);
    }
  }

  #value(value: Tree, type: SchemaType, name: string | null, path: string): void {
    if (typeof type === 'string') checkScalar(textOf(value, path), type, name, path);
    else if ('since' in type) this.#value(value, type.type, name, path);
    else if ('values' in type) checkValue(textOf(value, path), type.values, name);
    else if ('listOf' in type) this.#list(value, type.listOf, path);
    else if ('members' in type) this.object(value, type, path);
    else this.#alternate(value, type, name, path);
  }

  #list(value: Tree, item: SchemaType, path: string): void {
    if (!Array.isArray(value)) throw invalidArgument(`Invalid parameter type for '${path}', expected: array`);
    for (const [index, one] of value.entries()) this.#value(one, item, null, `${path}.${index}`);
  }

  #alternate(value: Tree, type: SchemaAlternate, name: string | null, path: string): void {
    if (value instanceof Map) this.object(value, type.object(), path);
    else if (typeof value === 'string') this.#value(value, type.text, name, path);
    else if (value !== null || type.mayBeNull !== true) {
      throw invalidArgument(`Invalid parameter type for '${name ?? 'null'}', expected: ${type.name}`);
    }
  }
}
