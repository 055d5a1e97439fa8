/**
 * Options of a node: a flat dictionary with dotted keys ("file.driver", "inject-error.0.event").
 *
 * Values are strings when they come from a command line, and typed when they come from `json:{…}`.
 */
import { formatDouble, parseSize, parseUnsigned } from '../../util/parse-number.ts';
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

/** The type that a driver takes an option for; `size` is a number of bytes with a suffix. */
export type OptionType = 'string' | 'bool' | 'number' | 'size';
type OptionSpec = Readonly<Record<string, OptionType>>;
type Absorbed<Spec extends OptionSpec> = {
  [K in keyof Spec]?: Spec[K] extends 'bool' ? boolean : Spec[K] extends 'string' ? string : number;
};

/**
 * Removes the options that `spec` names and returns them parsed. A null counts as not given. Numbers and sizes are
 * unsigned 64-bit values: those beyond 2^53 come back rounded to a double, which no limit of the block layer can miss.
 * Throws EINVAL with QEMU's texts for a value that is not of its type.
 */
export function absorbOptions<const Spec extends OptionSpec>(options: Options, spec: Spec): Absorbed<Spec> {
  const absorbed: Record<string, string | boolean | number> = {};
  for (const key of options.orderedKeys()) {
    if (!Object.hasOwn(spec, key)) continue;
    const type = spec[key];
    const value = options.get(key);
    if (type !== undefined && value !== undefined && value !== null) {
      absorbed[key] = parseOption(key, optionText(value), type);
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

/** Parses one value. Throws EINVAL with QEMU's text. */
export function parseOption(key: string, text: string, type: OptionType): string | boolean | number {
  switch (type) {
    case 'string':
      return text;
    case 'bool':
      return parseBool(key, text);
    case 'number': {
      const value = parseUnsigned(text);
      if (value === 'range') throw invalidArgument(`Value '${text}' is too large for parameter '${key}'`);
      if (value === 'invalid') throw invalidArgument(`Parameter '${key}' expects a number`);
      return Number(value);
    }
    case 'size': {
      const value = parseSize(text);
      if (value === 'range') throw invalidArgument(`Value '${text}' is out of range for parameter '${key}'`);
      if (value === 'invalid')
        throw invalidArgument(`Parameter '${key}' expects a non-negative number below 2^64\n${sizeHint}`);
      return Number(value);
    }
  }
}

/** `parseOption` for an option of type number. */
export function parseNumber(key: string, text: string): number {
  return Number(parseOption(key, text, 'number'));
}

const sizeHint =
  'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.';

function parseBool(key: string, text: string): boolean {
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
