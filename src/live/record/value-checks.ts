/** Checks of JSON values from outside: each gives the value without members that it does not know, or `WRONG`. */

/** Thrown for a line that is not one of ours; the message says what is wrong with it. */
export class SchemaError extends Error {}

/** The result of a check for a value that does not fit. */
const WRONG = Symbol('wrong');

/** The value, copied as far as it is known; `WRONG` or a `SchemaError` if it does not fit. */
export type Check = (value: unknown) => unknown;

/** Members by name. */
export type Members = Readonly<Record<string, Check>>;

/** Beyond every clock in nanoseconds; below what JSON writes with an exponent. */
const MAX_TIME_NS = 1e20;

/** An integer from 0 to 2^53-1. */
export const count: Check = (value) => (Number.isSafeInteger(value) && (value as number) >= 0 ? value : WRONG);
/** An integer with a sign. */
export const integer: Check = (value) => (Number.isSafeInteger(value) ? value : WRONG);
/** Nanoseconds. */
export const time: Check = (value) => (typeof value === 'number' && value >= 0 && value <= MAX_TIME_NS ? value : WRONG);
export const text: Check = (value) => (typeof value === 'string' ? value : WRONG);
export const flag: Check = (value) => (typeof value === 'boolean' ? value : WRONG);

/** One of these texts. */
export function oneOf(...texts: readonly string[]): Check {
  return (value) => (texts.some((one) => one === value) ? value : WRONG);
}

/** A value that `of` takes, or null. */
export function orNull(of: Check): Check {
  return (value) => (value === null ? null : of(value));
}

/** A value that `of` takes, or nothing at all. */
export function optional(of: Check): Check {
  return (value) => (value === undefined ? undefined : of(value));
}

/** A list of values that `of` takes. */
export function list(of: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return WRONG;
    const entries = value.map(of);
    return entries.includes(WRONG) ? WRONG : entries;
  };
}

/** An object with these members. `where` names it in the error for a member that does not fit. */
export function object(where: string, members: Members): Check {
  const names = Object.keys(members);
  return (value) => {
    if (!isObject(value)) return WRONG;
    const known: Record<string, unknown> = {};
    for (const name of names) {
      const member = members[name]?.(value[name]);
      if (member === WRONG) throw new SchemaError(`'${name}' of ${where} is missing or wrong`);
      if (member !== undefined) known[name] = member;
    }
    return known;
  };
}

/** An object with any members, all of them texts. */
export const texts: Check = (value) =>
  isObject(value) && Object.values(value).every((member) => typeof member === 'string') ? { ...value } : WRONG;

/** An object that has one of these forms, chosen by its `kind`. */
export function byKind(forms: Readonly<Record<string, Check>>): Check {
  return (value) => {
    if (!isObject(value) || typeof value.kind !== 'string' || !Object.hasOwn(forms, value.kind)) return WRONG;
    return forms[value.kind]?.(value);
  };
}

/** Whether a value is an object of JSON: neither a list nor null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
