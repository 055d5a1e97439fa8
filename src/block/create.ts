/** Making images as `qemu-img create` does: its order of checks, its texts. */
import { Errno } from '../util/errno.ts';
import type { CreateOption, CreateValues, Driver } from './driver.ts';
import { BlockError, invalidArgument, prependError, withContext } from './error.ts';
import { Open, Perm, Req, SECTOR_BYTES } from './flags.ts';
import type { GraphContext } from './graph/context.ts';
import { closeBackend } from './graph/graph.ts';
import { setBackendPermissions } from './graph/permissions.ts';
import { hasProtocol } from './open/protocol-prefix.ts';
import { loadDriver } from './open/driver-table.ts';
import { openBackend } from './open/open.ts';
import { parseOptionString } from './options/option-string.ts';
import { Options, parseBool, parseNumber, parseSize, type SizeReader } from './options/options.ts';

/** An image to make: the words of `qemu-img create`. */
export interface CreateRequest {
  readonly filename: string;
  readonly format: string;
  /** Of the form name=value,…, with commas in values doubled. */
  readonly options: string;
  /** Bytes; null if it is not given. */
  readonly size: bigint | null;
  readonly backing: string | null;
  readonly backingFormat: string | null;
  /** The backing file is not opened. */
  readonly isUnsafe: boolean;
}

/**
 * Makes an image; `say` is told before, in one line. Throws with the text that follows the file's name in qemu-img's
 * message. A file that cannot be made whole is deleted.
 */
export async function createImage(
  context: GraphContext,
  request: CreateRequest,
  say: (line: string) => void,
): Promise<void> {
  const { filename, format } = request;
  const known = context.drivers.find(format);
  if (known === null) throw invalidArgument(`Unknown file format '${format}'`);
  const driver = await loadDriver(known);
  const protocol = await loadDriver(context.drivers.findProtocol(filename, true));
  const formatOptions = await optionsOf(driver, 'Format');
  const protocolOptions = await optionsOf(protocol, 'Protocol');
  const options = unique([...formatOptions, ...protocolOptions]);
  const values = parseValues(request.options, options, context);
  setBacking(values, options, request);
  const backing = values.get('backing_file');
  if (backing === '') throw invalidArgument('Expected backing file name, got empty string');
  if (backing === filename) {
    throw invalidArgument('Error: Trying to create an image with the same filename as the backing file');
  }
  if (values.has('size') && request.size !== null) throw invalidArgument('The image size must be specified only once');
  if (request.size !== null) values.set('size', String(request.size));
  await checkBacking(context, request, values);
  if (!values.has('size')) throw invalidArgument('Image creation needs a size parameter');
  say(`Formatting '${filename}', fmt=${format} ${describeValues(options, values)}`);
  try {
    await driver.create?.(context, filename, values);
  } catch (error) {
    if (!(error instanceof BlockError) || error.errno !== Errno.EFBIG) throw error;
    const hint = values.has('cluster_size') || formatOptions.some(({ name }) => name === 'cluster_size');
    const advice = hint ? ' (try using a larger cluster size)' : '';
    throw new BlockError(Errno.EFBIG, `The image size is too large for file format '${format}'${advice}`);
  }
}

/** Makes the file of an image: by the driver of its protocol, from those of the values that this driver takes. */
export async function createFile(context: GraphContext, filename: string, values: CreateValues): Promise<void> {
  const driver = await loadDriver(context.drivers.findProtocol(filename, true));
  const known = await optionsOf(driver, 'Protocol');
  const own = new Map([...values].filter(([key]) => known.some(({ name }) => name === key)));
  await driver.create?.(context, filename, own);
}

/**
 * "Makes" a file that is there already, as an export of NBD or a device is: its length must do, and its first sector is
 * cleared, so that no format is recognised in what it held before.
 */
export async function createFallback(
  formatName: string,
  context: GraphContext,
  filename: string,
  values: CreateValues,
): Promise<void> {
  const mode = values.get('preallocation') ?? 'off';
  if (mode !== 'off') throw new BlockError(Errno.ENOTSUP, `Unsupported preallocation mode '${mode}'`);
  const size = Number(values.get('size') ?? 0);
  const prefix = `Protocol driver '${formatName}' does not support image creation, and opening the image failed`;
  let file;
  try {
    file = await openBackend(context, { filename, options: new Options(), flags: Open.READ_WRITE | Open.PROTOCOL });
  } catch (error) {
    throw error instanceof BlockError ? prependError(error, `${prefix}: `) : error;
  }
  try {
    setBackendPermissions(file, Perm.WRITE | Perm.RESIZE, Perm.ALL);
    await file.truncate(size, { exact: false });
    const cleared = Math.min(SECTOR_BYTES, file.getLength());
    await withContext("Failed to clear the new image's first sector", () =>
      file.pwriteZeroes(0, cleared, Req.MAY_UNMAP),
    );
  } finally {
    await closeBackend(file);
  }
}

async function optionsOf(driver: Driver, kind: 'Format' | 'Protocol'): Promise<readonly CreateOption[]> {
  const options = await driver.createOptions?.();
  if (options !== undefined) return options;
  throw new BlockError(Errno.ENOTSUP, `${kind} driver '${driver.formatName}' does not support image creation`);
}

/** Each name once; what a format knows is not asked of the protocol. */
function unique(options: readonly CreateOption[]): CreateOption[] {
  return options.filter(({ name }, index) => options.findIndex((other) => other.name === name) === index);
}

/** The values of an option string, checked for their types; numbers and sizes in decimal digits. */
function parseValues(text: string, options: readonly CreateOption[], reader: SizeReader): Map<string, string> {
  const values = new Map<string, string>();
  for (const [key, value] of parseOptionString(text)) {
    const option = options.find(({ name }) => name === key);
    if (option === undefined) throw invalidArgument(`Invalid parameter '${key}'`);
    values.set(key, checkedValue(key, String(value), option.type, reader));
  }
  return values;
}

function checkedValue(key: string, text: string, type: CreateOption['type'], reader: SizeReader): string {
  if (type === 'number') return String(parseNumber(key, text));
  if (type === 'size') return String(parseSize(key, text, reader));
  if (type === 'bool') parseBool(key, text);
  return text;
}

function setBacking(values: Map<string, string>, options: readonly CreateOption[], request: CreateRequest): void {
  const set = (key: string, value: string | null, what: string): void => {
    if (value === null) return;
    if (!options.some(({ name }) => name === key)) {
      throw new BlockError(Errno.ENOTSUP, `${what} not supported for file format '${request.format}'`);
    }
    values.set(key, value);
  };
  set('backing_file', request.backing, 'Backing file');
  set('backing_fmt', request.backingFormat, 'Backing file format');
}

/** Opens the backing file to see that it is there; without a size the image is as long. */
async function checkBacking(context: GraphContext, request: CreateRequest, values: Map<string, string>): Promise<void> {
  const backing = values.get('backing_file');
  if (backing === undefined) return;
  const format = values.get('backing_fmt');
  if (request.isUnsafe) {
    if (format === undefined) throw invalidArgument('Backing file specified without backing format');
    return;
  }
  const options = new Options([['force-share', 'on'], ...(format === undefined ? [] : [['driver', format] as const])]);
  let opened;
  try {
    opened = await openBackend(context, {
      filename: besides(request.filename, backing),
      options,
      flags: Open.NO_BACKING | Open.NO_IO,
    });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, `${error.message}\nCould not open backing image.`);
  }
  try {
    if (format === undefined) {
      throw invalidArgument(
        `Backing file specified without backing format\nDetected format of ${opened.top.driver.formatName}.`,
      );
    }
    if (!values.has('size')) values.set('size', String(opened.getLength()));
  } finally {
    await closeBackend(opened);
  }
}

/** A backing file's name as it is seen from here. */
export function besides(filename: string, backing: string): string {
  if (hasProtocol(backing) || backing.startsWith('/') || filename.startsWith('json:')) return backing;
  const start = hasProtocol(filename) ? filename.indexOf(':') + 1 : 0;
  return filename.slice(start, filename.lastIndexOf('/') + 1) + backing;
}

/** The values as qemu-img says them, in the order of the options; those not given that have one as it stands. */
function describeValues(options: readonly CreateOption[], values: CreateValues): string {
  return options
    .flatMap(({ name, type, initial }) => {
      const value = values.get(name) ?? initial;
      if (value === undefined) return [];
      return [`${name}=${values.has(name) ? shownValue(value, type) : value}`];
    })
    .join(' ');
}

function shownValue(text: string, type: CreateOption['type']): string {
  if (type === 'string') return text.replaceAll(',', ',,');
  return type === 'bool' ? text : String(BigInt.asIntN(64, BigInt(text)));
}
