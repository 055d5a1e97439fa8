/** Objects of `--object`: secrets and TLS credentials, checked as QEMU checks them. */
import { readFileSync } from 'node:fs';
import { BlockError, invalidArgument } from '../block/error.ts';
import type { UserObject } from '../block/user-object.ts';
import { parseJson } from '../block/options/json.ts';
import { isIdentifier } from '../block/options/option-string.ts';
import { hostErrno, strerror } from '../util/errno.ts';
import { readTlsCredentials, tlsProperties } from './tls-credentials.ts';

const MAX_SECRET_BYTES = 16 << 20;

/** Types that QEMU has and we have not. */
const otherTypes: ReadonlySet<string> = new Set([
  'authz-list',
  'authz-list-file',
  'authz-simple',
  'main-loop',
  'pr-manager-helper',
  'secret_keyring',
  'thread-context',
  'throttle-group',
  'tls-cipher-suites',
  'tls-creds-anon',
]);
/** Properties that are true or false in JSON. */
const booleans: ReadonlySet<string> = new Set(['verify-peer', 'sanity-check']);
const secretProperties = ['data', 'file', 'format', 'iv', 'keyid'];

/**
 * Makes an object from its definition, `key=value,...` or JSON, and puts it into `objects` (id to content).
 * `secret,help` and `help` print through `say` and give 'help'. EINVAL with QEMU's text for a wrong definition.
 */
export function createObject(
  text: string,
  objects: Map<string, UserObject>,
  say: (text: string) => void,
): 'help' | 'made' {
  if (!text.startsWith('{') && isHelp(text, say)) return 'help';
  const properties = text.startsWith('{') ? jsonProperties(text) : keyedProperties(text);
  const take = (key: string): string | undefined => {
    const value = properties.get(key);
    properties.delete(key);
    return value;
  };

  const type = take('qom-type');
  if (type === undefined) throw invalidArgument("Parameter 'qom-type' is missing");
  const isTls = Object.hasOwn(tlsProperties, type);
  if (type !== 'secret' && !isTls && !otherTypes.has(type))
    throw invalidArgument(`Parameter 'qom-type' does not accept value '${type}'`);
  const id = take('id');
  if (id === undefined) throw invalidArgument("Parameter 'id' is missing");
  if (otherTypes.has(type)) throw invalidArgument(`objects of type '${type}' do not exist in blkscope`);
  const make = isTls ? readTlsCredentials(type, take, objects) : readSecret(id, take, objects);
  const [unexpected] = properties.keys();
  if (unexpected !== undefined) throw invalidArgument(`Parameter '${unexpected}' is unexpected`);
  checkId(id);
  const object = make();
  if (objects.has(id)) throw invalidArgument(`attempt to add duplicate property '${id}' to object (type 'container')`);
  objects.set(id, object);
  return 'made';
}

/** Takes the properties of a secret; the function returned makes it of them. */
function readSecret(
  id: string,
  take: (property: string) => string | undefined,
  objects: ReadonlyMap<string, UserObject>,
): () => UserObject {
  const [data, file, format = 'raw', iv, keyId] = secretProperties.map(take);
  if (format !== 'raw' && format !== 'base64')
    throw invalidArgument(`Parameter 'format' does not accept value '${format}'`);
  return () => {
    const content = secretContent(data, file);
    if (keyId !== undefined) {
      if (!objects.has(keyId)) throw invalidArgument(`No secret with id '${keyId}'`);
      throw invalidArgument(
        `secret '${id}': an encrypted secret (keyid${iv === undefined ? '' : ', iv'}) cannot be read`,
      );
    }
    if (format === 'base64' && !/^[A-Za-z0-9+/=\n]*$/.test(content)) {
      throw invalidArgument(`Base64 data '${content}' is not valid`);
    }
    const text = format === 'base64' ? Buffer.from(content, 'base64').toString('latin1') : content;
    return { kind: 'secret', content: text };
  };
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
  const known = { secret: Object.fromEntries(secretProperties.map((name) => [name, 'string'])), ...tlsProperties };
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

function secretContent(data: string | undefined, file: string | undefined): string {
  if (data !== undefined && file !== undefined) throw invalidArgument("'file' and 'data' are mutually exclusive");
  if (data !== undefined) return data;
  if (file === undefined) throw invalidArgument("Either 'file' or 'data' must be provided");
  try {
    const content = readFileSync(file);
    if (content.length > MAX_SECRET_BYTES)
      throw invalidArgument(`Unable to read ${file}: it is too large for a secret`);
    return content.toString('latin1');
  } catch (error) {
    if (error instanceof BlockError) throw error;
    throw invalidArgument(`Unable to read ${file}: Failed to open file “${file}”: ${strerror(hostErrno(error))}`);
  }
}

function jsonProperties(text: string): Map<string, string> {
  const value = parseJson(text);
  if (!(value instanceof Map)) throw invalidArgument('Object definition must be a JSON object');
  const properties = new Map<string, string>();
  for (const [key, member] of value) {
    if (typeof member === 'boolean' && booleans.has(key)) {
      properties.set(key, member ? 'on' : 'off');
      continue;
    }
    if (typeof member !== 'string') throw invalidArgument(`Invalid parameter type for '${key}', expected: string`);
    properties.set(key, member);
  }
  return properties;
}

/** `key=value,...`; a comma in a value is doubled, and the first value may be the type alone. */
function keyedProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
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
    properties.set(rootOf(key), raw.replaceAll(',,', ','));
    rest = rest.slice(raw.length + 1);
  }
  return properties;
}

/** A dotted key would make a nested object; no property of a secret is one. */
function rootOf(key: string): string {
  return key.split('.')[0] ?? key;
}
