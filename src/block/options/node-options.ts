/** The options that every node has, whatever its driver, and how a child inherits them. */
import { CACHE_FLAGS, parseDiscard } from './cache-mode.ts';
import { invalidArgument } from '../error.ts';
import { Open, Role } from '../flags.ts';
import type { BlockNode, DetectZeroes } from '../graph/node.ts';
import { absorbOptions, type Options } from './options.ts';

const spec = {
  'node-name': 'string',
  driver: 'string',
  'cache.direct': 'bool',
  'cache.no-flush': 'bool',
  'read-only': 'bool',
  'auto-read-only': 'bool',
  'detect-zeroes': 'string',
  discard: 'string',
  'force-share': 'bool',
} as const;

/** The options that every driver has, each undefined where it was not given. */
export type GenericOptions = ReturnType<typeof absorbOptions<typeof spec>>;

/** Takes the generic options out of `options`. EINVAL for a bad value. */
export function takeGenericOptions(options: Options): GenericOptions {
  return absorbOptions(options, spec);
}

/** `flags` with the bits for cache and writing as the options say. */
export function applyToFlags(flags: number, generic: GenericOptions): number {
  let result = flags & ~(CACHE_FLAGS | Open.READ_WRITE | Open.AUTO_READ_ONLY);
  if (generic['cache.no-flush'] === true) result |= Open.NO_FLUSH;
  if (generic['cache.direct'] === true) result |= Open.NO_CACHE;
  if (generic['read-only'] !== true) result |= Open.READ_WRITE;
  if (generic['auto-read-only'] === true) result |= Open.AUTO_READ_ONLY;
  return result;
}

/** Writes down as options what only the flags say yet. */
export function addFlagsToOptions(options: Options, flags: number): void {
  options.setDefault('cache.direct', (flags & Open.NO_CACHE) !== 0);
  options.setDefault('cache.no-flush', (flags & Open.NO_FLUSH) !== 0);
  options.setDefault('read-only', (flags & Open.READ_WRITE) === 0);
  options.setDefault('auto-read-only', (flags & Open.AUTO_READ_ONLY) !== 0);
}

/** `flags` with the discard mode of the options, if they have one. EINVAL for an unknown mode. */
export function applyDiscard(flags: number, generic: GenericOptions): number {
  if (generic.discard === undefined) return flags;
  const mode = parseDiscard(generic.discard);
  if (mode === null) throw invalidArgument('Invalid discard option');
  return (flags & ~Open.UNMAP) | mode.flags;
}

/** The mode of zero detection; `flags` must allow discards for "unmap". */
export function detectZeroesMode(flags: number, generic: GenericOptions): DetectZeroes {
  const mode = generic['detect-zeroes'] ?? 'off';
  if (mode !== 'off' && mode !== 'on' && mode !== 'unmap') {
    throw invalidArgument(`invalid parameter value: ${mode}`);
  }
  if (mode === 'unmap' && (flags & Open.UNMAP) === 0) {
    throw invalidArgument('setting detect-zeroes to unmap is not allowed without setting discard operation to unmap');
  }
  return mode;
}

/** Where a child gets from what it is not told itself. */
export interface Inheritance {
  /** Null while the format of the parent is still looked for. */
  readonly parent: BlockNode | null;
  readonly parentIsFormat: boolean;
  readonly flags: number;
  readonly options: Options;
  /** Bits of `Role`. */
  readonly role: number;
}

/** Inheritance from an opened node. */
export function inheritFrom(parent: BlockNode, role: number): Inheritance {
  return {
    parent,
    parentIsFormat: parent.driver.isFormat === true,
    flags: parent.openFlags,
    options: parent.options,
    role,
  };
}

/** Adds to a child's options what it inherits; the result is its flags. */
export function inheritOptions(child: Options, from: Inheritance): number {
  const { role, options } = from;
  const copy = (key: string): void => {
    const value = options.get(key);
    if (value !== undefined) child.setDefault(key, value);
  };
  copy('cache.direct');
  copy('cache.no-flush');
  copy('force-share');
  if ((role & Role.COW) !== 0) {
    child.setDefault('read-only', 'on');
    child.setDefault('auto-read-only', 'off');
  } else {
    copy('read-only');
    copy('auto-read-only');
  }
  // The parent has decided already whether a discard is sent down at all.
  child.setDefault('discard', 'unmap');
  return inheritedFlags(from);
}

function inheritedFlags({ role, parentIsFormat, flags }: Inheritance): number {
  const { DATA, METADATA, FILTERED, COW } = Role;
  let result = flags & ~(Open.SNAPSHOT | Open.NO_BACKING | Open.COPY_ON_READ);
  // Plain data below something that is no format may be of any format; what is below a format never is probed.
  if (!parentIsFormat && (role & DATA) !== 0 && (role & (METADATA | FILTERED)) === 0) result &= ~Open.PROTOCOL;
  if ((parentIsFormat && (role & COW) === 0) || (role & METADATA) !== 0) result |= Open.PROTOCOL;
  if ((role & METADATA) !== 0) result &= ~Open.NO_IO;
  return result;
}
