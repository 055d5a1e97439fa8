/** Objects of `--object`: secrets, TLS credentials and throttle groups, checked as QEMU checks them. */
import { type Compat, defaultCompat } from '../block/compat.ts';
import { invalidArgument } from '../block/error.ts';
import type { UserObject } from '../block/user-object.ts';
import type { JsonValue } from '../block/options/json.ts';
import { parseJson } from '../block/options/json-parser.ts';
import { isIdentifier } from '../block/options/options.ts';
import { optionText } from '../block/options/options.ts';
import { readSecret, secretProperties } from './secret-object.ts';
import { readThrottleGroup, throttleProperties } from './throttle-object.ts';
import { readTlsCredentials, tlsProperties } from './tls-credentials.ts';

const THROTTLE = 'throttle-group';

/** Types that QEMU has and we have not. */
const otherTypes: ReadonlySet<string> = new Set([
  'authz-list',
  'authz-list-file',
  'authz-simple',
  'main-loop',
  'pr-manager-helper',
  'secret_keyring',
  'thread-context',
  'tls-cipher-suites',
]);
/** Properties that are true or false in JSON. */
const booleans: ReadonlySet<string> = new Set(['loaded', 'verify-peer', 'sanity-check']);

/** The properties of a definition by their keys; in JSON they have types. */
type Properties = Map<string, JsonValue>;

/**
 * Makes an object from its definition, `key=value,...` or JSON, and puts it into `objects` (id to content).
 * `secret,help` and `help` print through `say` and give 'help'. EINVAL with QEMU's text for a wrong definition.
 */
export function createObject(
  text: string,
  objects: Map<string, UserObject>,
  say: (text: string) => void,
  compat: Compat = defaultCompat,
): 'help' | 'made' {
  if (!text.startsWith('{') && isHelp(text, say)) return 'help';
  const isJson = text.startsWith('{');
  const properties = isJson ? jsonProperties(text) : keyedProperties(text);
  const take = (key: string): string | undefined => {
    const type = isJson && booleans.has(key) ? 'boolean' : 'string';
    return takeProperty(properties, key, type);
  };

  const type = take('qom-type');
  if (type === undefined) throw invalidArgument("Parameter 'qom-type' is missing");
  const isTls = Object.hasOwn(tlsProperties, type);
  if (type !== 'secret' && type !== THROTTLE && !isTls && !otherTypes.has(type))
    throw invalidArgument(`Parameter 'qom-type' does not accept value '${type}'`);
  const id = take('id');
  if (id === undefined) throw invalidArgument("Parameter 'id' is missing");
  if (otherTypes.has(type)) throw invalidArgument(`objects of type '${type}' do not exist in blkscope`);
  let make: () => UserObject;
  if (type === THROTTLE) make = readThrottleGroup(properties, isJson);
  else make = isTls ? readTlsCredentials(type, take, objects) : readSecret(id, take, objects, compat);
  const [unexpected] = properties.keys();
  if (unexpected !== undefined) throw invalidArgument(`Parameter '${rootOf(unexpected)}' is unexpected`);
  checkId(id);
  if (objects.has(id)) throw invalidArgument(`attempt to add duplicate property '${id}' to object (type 'container')`);
  objects.set(id, make());
  return 'made';
}

/** Takes a property out, as text; undefined if it is not given. EINVAL with QEMU's text if it is of another type. */
function takeProperty(properties: Properties, key: string, type: 'string' | 'boolean'): string | undefined {
  const nested = [...properties.keys()].find((other) => other.startsWith(`${key}.`));
  if (nested !== undefined) throw invalidArgument(`Parameters '${key}.*' are unexpected`);
  const value = properties.get(key);
  properties.delete(key);
  if (value === undefined) return undefined;
  if (typeof value !== type) throw invalidArgument(`Invalid parameter type for '${key}', expected: ${type}`);
  return optionText(value as string | boolean);
}

function checkId(id: string): void {
  if (isIdentifier(id)) return;
  throw invalidArgument(
    "Parameter 'id' expects an identifier\n" +
      "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
  );
}

/** "help" and "TYPE,help" ask for names. */
function isHelp(text: string, say: (text: string) => void): boolean {
  const words = text.split(',');
  if (!words.includes('help') && !words.includes('?')) return false;
  const [type = ''] = words;
  const known = { secret: secretProperties, [THROTTLE]: throttleProperties, ...tlsProperties };
  const properties = Object.hasOwn(known, type) ? known[type as keyof typeof known] : undefined;
  if (properties === undefined) {
    say(
      `List of user creatable objects:\n${Object.keys(known)
        .sort()
        .map((name) => `  ${name}\n`)
        .join('')}`,
    );
  } else {
    const lines = Object.entries(properties).map(([name, value]) => `  ${name}=<${value}>\n`);
    say(`${type} options:\n${lines.join('')}`);
  }
  return true;
}

function jsonProperties(text: string): Properties {
  const value = parseJson(text);
  if (!(value instanceof Map)) throw invalidArgument('Object definition must be a JSON object');
  return value;
}

/** `key=value,...`; a comma in a value is doubled, and the first value may be the type alone. */
function keyedProperties(text: string): Properties {
  const properties: Properties = new Map();
  let isFirst = true;
  for (let rest = text; rest !== ''; isFirst = false) {
    const keyEnd = rest.search(/[=,]/);
    const hasValue = keyEnd >= 0 && rest[keyEnd] === '=';
    const word = keyEnd < 0 ? rest : rest.slice(0, keyEnd);
    let key = word;
    if (hasValue) {
      rest = rest.slice(keyEnd + 1);
    } else if (isFirst && word !== '') {
      key = 'qom-type';
    } else {
      throw invalidArgument(word === '' ? "Invalid parameter ''" : `Expected '=' after parameter '${word}'`);
    }
    if (!/^[a-zA-Z_][-a-zA-Z0-9_.]*$/.test(key)) throw invalidArgument(`Invalid parameter '${key}'`);
    const [raw = ''] = /^(?:[^,]|,,)*/.exec(rest) ?? [];
    properties.set(key, raw.replaceAll(',,', ','));
    rest = rest.slice(raw.length + 1);
  }
  for (const key of properties.keys()) {
    const root = rootOf(key);
    if (root !== key && properties.has(root)) throw invalidArgument(`Parameters '${root}.*' used inconsistently`);
  }
  return properties;
}

/** A dotted key would make a nested object; no property is one. */
function rootOf(key: string): string {
  return key.split('.')[0] ?? key;
}
