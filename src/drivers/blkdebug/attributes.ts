/** Attributes of rules, with numbers exact to all 64 bits: QEMU keeps some of their bits and prints the others. */
import { BlockError } from '../../block/error.ts';
import { type Options, optionText, parseBool, parseNumber } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';

/** Attributes by name, as the options of a driver are declared. */
export type AttributeTypes = Readonly<Record<string, 'string' | 'bool' | 'number'>>;

/** Attributes that are not given are left out; numbers are unsigned 64-bit, and "-1" is the largest of them. */
export type Attributes<Types extends AttributeTypes> = {
  readonly [Name in keyof Types]?: Types[Name] extends 'bool'
    ? boolean
    : Types[Name] extends 'string'
      ? string
      : bigint;
};

/**
 * Takes the options that `types` names out of `options`. EINVAL for a value that is not of its type and, if
 * `refuseOthers`, for an option that is not named; of several mistakes the one that QEMU finds first.
 */
export function takeAttributes<const Types extends AttributeTypes>(
  options: Options,
  types: Types,
  refuseOthers = false,
): Attributes<Types> {
  const attributes: Record<string, string | boolean | bigint> = {};
  for (const name of options.orderedKeys()) {
    const type = Object.hasOwn(types, name) ? types[name] : undefined;
    if (type === undefined) {
      if (refuseOthers) throw new BlockError(Errno.EINVAL, `Invalid parameter '${name}'`);
      continue;
    }
    const value = options.get(name) ?? null;
    if (value !== null) attributes[name] = valueOf(name, optionText(value), type);
    options.delete(name);
  }
  return attributes as Attributes<Types>;
}

function valueOf(name: string, text: string, type: AttributeTypes[string]): string | boolean | bigint {
  if (type === 'string') return text;
  return type === 'bool' ? parseBool(name, text) : parseNumber(name, text);
}
