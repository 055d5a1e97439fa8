/** JSON as QEMU writes it: an object lists its keys in the order of QEMU's dictionary. */
import { formatDouble } from '../../util/parse-number.ts';
import { hashOrder, type OptionValue } from './options.ts';

/** The members of an object, in the order of their text. */
export type JsonObject = Map<string, JsonValue>;
/** A value. Integers that a double does not hold exactly are bigints. */
export type JsonValue = OptionValue | JsonValue[] | JsonObject;

/** A value as QEMU prints it, on one line. */
export function formatJson(value: JsonValue): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return formatDouble(value);
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `[${value.map(formatJson).join(', ')}]`;
  const keys = hashOrder([...value.keys()]);
  return `{${keys.map((key) => `${quote(key)}: ${formatJson(value.get(key) ?? null)}`).join(', ')}}`;
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** Everything outside of printable ASCII is written as \uXXXX, a pair of them beyond 16 bits. */
function quote(text: string): string {
  const escaped = text.replace(/["\\]|[^ -~]/g, (unit) => {
    return shortEscapes[unit] ?? `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}
