/**
 * Options of a node: a flat dictionary with dotted keys ("file.driver", "inject-error.0.event").
 *
 * Values are strings when they come from a command line, and typed when they come from `json:{…}`.
 */
import { assert } from '../../util/assert.ts';
import { parseExactSize64 } from '../../util/exact-size.ts';
import { formatDouble, parseUnsigned } from '../../util/parse-number.ts';
import { parseUnsigned64 } from '../../util/size.ts';
import type { Compat } from '../compat.ts';
import type { SpecificInfo, SpecificValue } from '../driver.ts';
import { invalidArgument } from '../error.ts';

/** A value as it was given: text from a command line, typed from JSON. */
export type OptionValue = string | number | bigint | boolean | null;

/** The options of one node. Drivers take theirs out with `absorbOptions`; what is left in the end is unknown. */
export class Options extends Map<string, OptionValue> {
  /** A copy, to be changed apart from these. */
  clone(): Options {
    return new Options(this.ordered());
  }

  /** The value if it is a string; undefined for every other type. */
  getString(key: string): string | undefined {
    const value = this.get(key);
    return typeof value === 'string' ? value : undefined;
  }

  /** Sets what is not set yet. */
  setDefault(key: string, value: OptionValue): void {
    if (!this.has(key)) this.set(key, value);
  }

  /** Takes over what `other` has and this has not. */
  join(other: Options): void {
    for (const [key, value] of other.ordered()) this.setDefault(key, value);
  }

  /** The keys in the order in which QEMU's dictionaries list them, which messages and `json:{}` names show. */
  orderedKeys(): string[] {
    return hashOrder([...this.keys()]);
  }

  /** The entries in that order; whatever is copied from here to there is copied in it. */
  ordered(): [string, OptionValue][] {
    return this.orderedKeys().map((key) => [key, this.get(key) ?? null]);
  }
}

const BUCKET_COUNT = 512;

/** The bucket of a key in QEMU's dictionary (the hash of gdbm and tdb). */
function bucketOf(key: string): number {
  const bytes = Buffer.from(key);
  let hash = Math.imul(0x238f13af, bytes.length);
  for (let index = 0; index < bytes.length; index++) {
    hash = (hash + ((bytes[index] ?? 0) << ((index * 5) % 24))) | 0;
  }
  return ((Math.imul(1103515243, hash) + 12345) >>> 0) % BUCKET_COUNT;
}

/** Keys in the order of QEMU's dictionary: by bucket, within one the newest first. `keys` are oldest first. */
export function hashOrder(keys: readonly string[]): string[] {
  return keys
    .map((key, age) => ({ key, age, bucket: bucketOf(key) }))
    .sort((a, b) => a.bucket - b.bucket || b.age - a.age)
    .map(({ key }) => key);
}

/** Facts for `info` in the order in which QEMU's dictionaries have them, at every level. */
export function inQemuOrder(facts: SpecificInfo): SpecificInfo {
  return Object.fromEntries(
    hashOrder(Object.keys(facts)).map((key) => [key, orderedValue(facts[key] as SpecificValue)]),
  );
}

function orderedValue(value: SpecificValue): SpecificValue {
  if (typeof value !== 'object') return value;
  return Array.isArray(value) ? value.map(orderedValue) : inQemuOrder(value as SpecificInfo);
}

/** The type that an option is declared with; `size` is a number of bytes with a suffix. */
export type OptionType = 'string' | 'bool' | 'number' | 'size';

/**
 * The types that a driver takes options for. Numbers and sizes are unsigned 64-bit values: as `number` and `size` those
 * beyond 2^53 come back rounded to a double, which no limit of the block layer can miss; as `number64` and `size64` all
 * are exact.
 */
type OptionSpec = Readonly<Record<string, OptionType | 'number64' | 'size64'>>;

interface ValueTypes {
  string: string;
  bool: boolean;
  number: number;
  size: number;
  number64: bigint;
  size64: bigint;
}

type Absorbed<Spec extends OptionSpec> = { [K in keyof Spec]?: ValueTypes[Spec[K]] };

/** How sizes are read, and where a warning goes: a context of nodes. */
export interface SizeReader {
  readonly compat: Compat;
  report(message: string): void;
}

/** Given where there are sizes. */
type ReaderFor<Spec extends OptionSpec> = 'size' extends Spec[keyof Spec]
  ? [SizeReader]
  : 'size64' extends Spec[keyof Spec]
    ? [SizeReader]
    : [];

/**
 * Removes the options that `spec` names and returns them parsed. A null counts as not given. Throws EINVAL with QEMU's
 * texts for a value that is not of its type.
 */
export function absorbOptions<const Spec extends OptionSpec>(
  options: Options,
  spec: Spec,
  ...[reader]: ReaderFor<Spec>
): Absorbed<Spec> {
  const absorbed: Record<string, string | boolean | number | bigint> = {};
  for (const key of options.orderedKeys()) {
    if (!Object.hasOwn(spec, key)) continue;
    const type = spec[key];
    const value = options.get(key);
    if (type !== undefined && value !== undefined && value !== null) {
      absorbed[key] = valueOf(key, optionText(value), type, reader);
    }
    options.delete(key);
  }
  return absorbed as Absorbed<Spec>;
}

/** A value as text: what an option of type string makes of it. */
export function optionText(value: Exclude<OptionValue, null>): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return typeof value === 'number' ? formatDouble(value) : String(value);
}

function valueOf(key: string, text: string, type: keyof ValueTypes, reader?: SizeReader): ValueTypes[typeof type] {
  switch (type) {
    case 'string':
      return text;
    case 'bool':
      return parseBool(key, text);
    case 'number':
      return Number(parseNumber(key, text));
    case 'number64':
      return parseNumber(key, text);
    case 'size':
    case 'size64': {
      assert(reader !== undefined, 'sizes have a reader');
      const bytes = parseSize(key, text, reader);
      return type === 'size' ? Number(bytes) : bytes;
    }
  }
}

/** Parses an unsigned 64-bit number. Throws EINVAL with QEMU's text. */
export function parseNumber(key: string, text: string): bigint {
  const value = parseUnsigned(text);
  if (value === 'range') throw invalidArgument(`Value '${text}' is too large for parameter '${key}'`);
  if (value === 'invalid') throw invalidArgument(`Parameter '${key}' expects a number`);
  return value;
}

/** Parses a size in bytes, up to 2^64-1. Throws EINVAL with QEMU's text. */
export function parseSize(key: string, text: string, reader: SizeReader): bigint {
  const value = readSize(text, reader);
  if (value === 'range') throw invalidArgument(`Value '${text}' is out of range for parameter '${key}'`);
  if (value === 'invalid') {
    throw invalidArgument(`Parameter '${key}' expects a non-negative number below 2^64\n${sizeHint}`);
  }
  return value;
}

function readSize(text: string, reader: SizeReader): bigint | 'invalid' | 'range' {
  if (reader.compat.has('exactSizes')) return parseExactSize64(text);
  return parseUnsigned64(text, { warn: (warning) => reader.report(`warning: ${warning}`) });
}

const sizeHint =
  'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.';

/** Parses a truth value. Throws EINVAL with QEMU's text. */
export function parseBool(key: string, text: string): boolean {
  if (text === 'on' || text === 'yes' || text === 'true' || text === 'y') return true;
  if (text === 'off' || text === 'no' || text === 'false' || text === 'n') return false;
  throw invalidArgument(`Parameter '${key}' expects 'on' or 'off'`);
}

/** Removes the options that begin with `prefix` and returns them without it. */
export function takeSub(options: Options, prefix: string): Options {
  const taken = subOptions(options, prefix);
  for (const key of taken.keys()) options.delete(prefix + key);
  return taken;
}

/** The options that begin with `prefix`, without it. */
export function subOptions(options: Options, prefix: string): Options {
  const found = new Options();
  for (const [key, value] of options.ordered()) {
    if (key.startsWith(prefix)) found.set(key.slice(prefix.length), value);
  }
  return found;
}

/** Whether a text can be a name: a letter, then letters, digits, '-', '.' and '_'. */
export function isIdentifier(text: string): boolean {
  return /^[a-zA-Z][-a-zA-Z0-9._]*$/.test(text);
}
