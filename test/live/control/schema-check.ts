/** Checks messages of the control socket against `schema.json`: as much of JSON Schema as that file uses. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

interface Schema {
  readonly $ref?: string;
  readonly oneOf?: readonly Schema[];
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly description?: string;
}

const file = path.resolve(import.meta.dirname, '../../../src/live/control/schema.json');
const { $defs } = JSON.parse(readFileSync(file, 'utf8')) as { $defs: Record<string, Schema> };
const known = new Set(
  '$ref oneOf type const enum minimum minItems maxItems properties required additionalProperties items description'.split(
    ' ',
  ),
);

function typeOf(value: unknown): string[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  return Number.isInteger(value) ? ['integer', 'number'] : [typeof value];
}

/** The first thing that is wrong with a value, as "PATH: what"; null if it fits. */
function complaint(schema: Schema, value: unknown, at: string): string | null {
  const strange = Object.keys(schema).find((word) => !known.has(word));
  if (strange !== undefined) throw new Error(`the check does not know "${strange}"`);
  if (schema.$ref !== undefined) return complaint(definition(schema.$ref.replace('#/$defs/', '')), value, at);
  if (schema.oneOf !== undefined) {
    const complaints = schema.oneOf.map((one) => complaint(one, value, at));
    const fitting = complaints.filter((one) => one === null).length;
    return fitting === 1 ? null : `${at}: fits ${fitting} forms (${complaints.filter(Boolean).join('; ')})`;
  }
  if ('const' in schema && schema.const !== value) return `${at}: not ${JSON.stringify(schema.const)}`;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return `${at}: not in the list`;
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !typeOf(value).some((type) => types.includes(type)))
    return `${at}: not ${types.join(' or ')}`;
  if (schema.minimum !== undefined && Number(value) < schema.minimum) return `${at}: too small`;
  if (Array.isArray(value)) return complaintOfItems(schema, value, at);
  if (typeof value === 'object' && value !== null)
    return complaintOfMembers(schema, value as Record<string, unknown>, at);
  return null;
}

function complaintOfItems({ items, minItems = 0, maxItems = Infinity }: Schema, value: unknown[], at: string) {
  if (value.length < minItems || value.length > maxItems) return `${at}: ${value.length} entries`;
  if (items === undefined) return null;
  return value.map((entry, index) => complaint(items, entry, `${at}/${index}`)).find((one) => one !== null) ?? null;
}

function complaintOfMembers(schema: Schema, value: Record<string, unknown>, at: string): string | null {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return `${at}: no '${missing}'`;
  for (const [name, member] of Object.entries(value)) {
    const of = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (of === undefined && !additionalProperties) return `${at}: '${name}' is not known`;
    const wrong = of === undefined ? null : complaint(of, member, `${at}/${name}`);
    if (wrong !== null) return wrong;
  }
  return null;
}

function definition(name: string): Schema {
  const schema = $defs[name];
  if (schema === undefined) throw new Error(`the schema has no ${name}`);
  return schema;
}

/** Throws if a value is not what a definition of the schema says. */
export function mustFit(name: string, value: unknown): void {
  const wrong = complaint(definition(name), value, name);
  if (wrong !== null) throw new Error(`${wrong} in ${JSON.stringify(value)}`);
}

/** Throws if a result is not that of the method. */
export function mustBeResultOf(method: string, result: unknown): void {
  const schema = definition('results').properties?.[method];
  if (schema === undefined) throw new Error(`the schema has no result of ${method}`);
  const wrong = complaint(schema, result, method);
  if (wrong !== null) throw new Error(`${wrong} in ${JSON.stringify(result)}`);
}
