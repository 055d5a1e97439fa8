/** From a file name and options to complete options: `json:{…}`, the driver, the prefix of the name. */
import type { RegisteredDriver } from '../driver.ts';
import { BlockError, invalidArgument, loadPart, prependError } from '../error.ts';
import { Open } from '../flags.ts';
import type { JsonValue } from '../options/json.ts';
import { addFlagsToOptions } from '../options/node-options.ts';
import type { Options } from '../options/options.ts';
import { type DriverTable, isProtocol } from './driver-table.ts';
import { noDriver } from './missing-drivers.ts';

const JSON_PREFIX = 'json:';

/**
 * If the name is `json:{…}`, adds its options to those that are there, which count more, and returns null; otherwise
 * returns the name. Throws EINVAL for bad JSON.
 */
export async function takeJsonName(filename: string | null, options: Options): Promise<string | null> {
  if (filename === null || !filename.startsWith(JSON_PREFIX)) return filename;
  const { flattenJson, parseJson } = await loadPart('what reads JSON', () => import('../options/json-parser.ts'));
  let value: JsonValue;
  try {
    value = parseJson(filename.slice(JSON_PREFIX.length));
  } catch (error) {
    if (error instanceof BlockError) throw prependError(error, 'Could not parse the JSON options: ');
    throw error;
  }
  if (!(value instanceof Map)) throw invalidArgument('Invalid JSON object given');
  options.join(flattenJson(value));
  return null;
}

interface Filled {
  readonly flags: number;
  /** The name as far as the options do not have it. */
  readonly filename: string | null;
  /** Null if it is to be found by probing. */
  readonly driver: RegisteredDriver | null;
}

/**
 * Completes options in place: the flags as options, the driver of a protocol, the file name split up by that driver.
 * The flag PROTOCOL is set as the driver demands. Throws ENOENT for an unknown driver, EINVAL for options at odds.
 */
export function fillOptions(
  drivers: DriverTable,
  options: Options,
  { filename, isPlain }: { readonly filename: string | null; readonly isPlain: boolean },
  flags: number,
): Filled {
  const named = namedDriver(drivers, options);
  const protocol = named === null ? (flags & Open.PROTOCOL) !== 0 : isProtocol(named);
  const filledFlags = protocol ? flags | Open.PROTOCOL : flags & ~Open.PROTOCOL;
  addFlagsToOptions(options, filledFlags);
  if (!protocol) return { flags: filledFlags, filename, driver: named };

  if (filename !== null) {
    if (options.has('filename')) {
      throw invalidArgument("Can't specify 'file' and 'filename' options at the same time");
    }
    options.set('filename', filename);
  }
  const driver = named ?? protocolDriver(drivers, options, filename !== null && !isPlain);
  if (filename !== null && !isPlain && driver.parseFilename !== undefined) {
    driver.parseFilename(filename, options);
    if (driver.needsFilename !== true) options.delete('filename');
  }
  return { flags: filledFlags, filename, driver };
}

function namedDriver(drivers: DriverTable, options: Options): RegisteredDriver | null {
  const name = options.getString('driver');
  if (name === undefined) return null;
  const driver = drivers.find(name);
  if (driver === null) throw noDriver(name, `Unknown driver '${name}'`);
  return driver;
}

/** The driver that the file name asks for; only a name given as such may have a prefix. */
function protocolDriver(drivers: DriverTable, options: Options, allowPrefix: boolean): RegisteredDriver {
  const filename = options.getString('filename');
  if (filename === undefined) throw invalidArgument('Must specify either driver or file');
  const driver = drivers.findProtocol(filename, allowPrefix);
  options.set('driver', driver.formatName);
  return driver;
}
