/** Option strings: "driver=raw,file.filename=a,,b,read-only" as `--image-opts` and `open -o` take them. */
import { invalidArgument } from '../error.ts';
import { isIdentifier, Options } from './options.ts';

/** In what the users of option strings differ. */
export interface OptionStringSettings {
  /** The option "id" names the set and must be an identifier; otherwise it is refused. */
  readonly acceptsId?: boolean;
  /** Takes the lines of a warning, without the program's name ("warning: short-form …"). */
  readonly warn?: (line: string) => void;
}

/**
 * Parses `key=value,…`. A comma in a value is doubled; a key alone is "on", with "no" before it "off"; the last of
 * several values for one key counts. The first value may go without `impliedKey`.
 * Throws EINVAL with the text that QEMU prints.
 */
export function parseOptionString(text: string, impliedKey?: string, settings: OptionStringSettings = {}): Options {
  checkId(findId(text), settings.acceptsId === true);
  const options = new Options();
  let id: string | undefined;
  let implied = impliedKey;
  for (let rest = text; rest !== ''; ) {
    const parameter = nextParameter(rest, implied);
    implied = undefined;
    rest = parameter.rest;
    if (parameter.isFlag) warnOfFlag(parameter, settings.warn);
    if (parameter.key === 'id') id ??= parameter.value;
    else options.set(parameter.key, parameter.value);
  }
  if (id !== undefined) options.set('id', id);
  return options;
}

interface Parameter {
  readonly key: string;
  readonly value: string;
  /** Given without a value. */
  readonly isFlag: boolean;
  /** The text behind the comma. */
  readonly rest: string;
}

function nextParameter(text: string, impliedKey: string | undefined): Parameter {
  const nameEnd = text.search(/[=,]/);
  const name = nameEnd < 0 ? text : text.slice(0, nameEnd);
  if (nameEnd >= 0 && text[nameEnd] === '=') {
    return { key: name, isFlag: false, ...nextValue(text.slice(nameEnd + 1)) };
  }
  if (impliedKey !== undefined) return { key: impliedKey, isFlag: false, ...nextValue(text) };
  const isOff = name.startsWith('no');
  return {
    key: isOff ? name.slice(2) : name,
    value: isOff ? 'off' : 'on',
    isFlag: true,
    rest: text.slice(name.length + 1),
  };
}

/** The value up to the next single comma. */
function nextValue(text: string): { value: string; rest: string } {
  let value = '';
  for (let start = 0; ; ) {
    const comma = text.indexOf(',', start);
    if (comma < 0) return { value: value + text.slice(start), rest: '' };
    value += text.slice(start, comma);
    if (text[comma + 1] !== ',') return { value, rest: text.slice(comma + 1) };
    value += ',';
    start = comma + 2;
  }
}

function warnOfFlag(parameter: Parameter, warn: ((line: string) => void) | undefined): void {
  const { key, value } = parameter;
  if (warn === undefined || (value === 'on' && (key === 'help' || key === '?'))) return;
  const prefix = value === 'off' ? 'no' : '';
  warn(`warning: short-form boolean option '${prefix}${key}' deprecated`);
  warn(
    key === 'delay'
      ? `Please use nodelay=${prefix === '' ? 'off' : 'on'} instead`
      : `Please use ${key}=${value} instead`,
  );
}

/** The first value of "id"; looked for before anything else is parsed, and without an implied key. */
function findId(text: string): string | undefined {
  for (let rest = text; rest !== ''; ) {
    const parameter = nextParameter(rest, undefined);
    if (parameter.key === 'id') return parameter.value;
    rest = parameter.rest;
  }
  return undefined;
}

function checkId(id: string | undefined, isAccepted: boolean): void {
  if (id === undefined) return;
  if (!isAccepted) throw invalidArgument("Invalid parameter 'id'");
  if (!isIdentifier(id)) {
    throw invalidArgument(
      "Parameter 'id' expects an identifier\n" +
        "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
    );
  }
}
