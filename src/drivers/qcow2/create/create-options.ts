/** The options of new qcow2 images, in the order in which qemu-img says them, and their checks. */
import type { CreateOption, CreateValues, Preallocation } from '../../../block/driver.ts';
import { type BlockError, invalidArgument } from '../../../block/error.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { parseBool } from '../../../block/options/options.ts';
import { CryptoError } from '../../../crypto/algorithms.ts';
import type { LuksChoices } from '../../../crypto/luks-create.ts';
import { luksChoices, luksCreateOptions } from '../../../crypto/luks-options.ts';
import { alignUp } from '../../../util/align.ts';
import { Compression } from '../format/features.ts';
import { MAX_CLUSTER_BITS, MIN_CLUSTER_BITS } from '../format/header.ts';

/** All of them. */
export const qcow2CreateOptions: readonly CreateOption[] = [
  { name: 'encryption', type: 'bool', help: 'the same as encrypt.format=aes; for old scripts' },
  { name: 'encrypt.format', type: 'string', help: 'encrypts the data: luks, or aes as long ago' },
  ...luksCreateOptions('encrypt.'),
  { name: 'cluster_size', type: 'size', initial: '65536', help: 'a power of two from 512 to 2M' },
  { name: 'extended_l2', type: 'bool', initial: 'off', help: 'clusters have 32 subclusters' },
  { name: 'preallocation', type: 'string', help: 'off, metadata, falloc or full' },
  { name: 'compression_type', type: 'string', initial: 'zlib', help: 'zlib or zstd' },
  { name: 'size', type: 'size', help: 'the length of the disk' },
  { name: 'compat', type: 'string', help: 'version of the format: 0.10 or 1.1, or v2 or v3' },
  { name: 'backing_file', type: 'string', help: 'the image that shows through where this one has nothing' },
  { name: 'backing_fmt', type: 'string', help: 'the format of the backing file' },
  { name: 'data_file', type: 'string', help: 'a file of its own for the data' },
  { name: 'data_file_raw', type: 'bool', help: 'the data file alone is a raw image of the same content' },
  { name: 'lazy_refcounts', type: 'bool', initial: 'off', help: 'refcounts on disk may lag behind' },
  { name: 'refcount_bits', type: 'number', initial: '16', help: 'width of refcounts: 1, 2, 4, 8, 16, 32 or 64' },
];

/** A new image, as its options say it. Lengths in bytes. */
export interface NewImage {
  readonly version: 2 | 3;
  readonly lengthBytes: number;
  readonly clusterBits: number;
  readonly hasSubclusters: boolean;
  readonly preallocation: Preallocation;
  /** A value of `Compression`. */
  readonly compressionType: number;
  readonly lazyRefcounts: boolean;
  readonly refcountOrder: number;
  readonly backingFile: string | null;
  readonly backingFormat: string | null;
  readonly dataFile: string | null;
  readonly dataFileRaw: boolean;
  readonly encryption: NewEncryption | null;
}

/** The encryption of a new image. */
export interface NewEncryption {
  /** Null for AES with the passphrase as its key. */
  readonly luks: LuksChoices | null;
  /** The id of the passphrase; null if none is named. */
  readonly secret: string | null;
}

const preallocations: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];
const versions: ReadonlyMap<string, 2 | 3> = new Map([
  ['0.10', 2],
  ['v2', 2],
  ['1.1', 3],
  ['v3', 3],
]);

/** Reads and checks the values; `isDriver` knows the names of formats and protocols. EINVAL with QEMU's texts. */
export function newImageFrom(values: CreateValues, isDriver: (name: string) => boolean): NewImage {
  const text = (name: string): string | null => values.get(name) ?? null;
  const number = (name: string, initial: number): number => Number(values.get(name) ?? initial);
  const isOn = (name: string): boolean => parseBool(name, values.get(name) ?? 'off');
  const version = choice(versions, 'version', text('compat'), 3);
  const backingFormat = text('backing_fmt');
  if (backingFormat !== null && !isDriver(backingFormat)) throw refused('backing-fmt', backingFormat);
  const given = {
    version,
    backingFormat,
    encryption: encryptionFrom(values),
    preallocation: oneOf(preallocations, 'preallocation', text('preallocation'), 'off'),
    compressionType: choice(compressions, 'compression-type', text('compression_type'), Compression.ZLIB),
    lengthBytes: alignUp(number('size', 0), SECTOR_BYTES),
    hasSubclusters: isOn('extended_l2'),
    lazyRefcounts: isOn('lazy_refcounts'),
    backingFile: text('backing_file'),
    dataFile: text('data_file'),
    dataFileRaw: isOn('data_file_raw'),
  };
  const clusterBits = clusterBitsFrom(number('cluster_size', 65536), given.version, given.hasSubclusters);
  if (given.backingFile !== null && given.preallocation !== 'off' && !given.hasSubclusters) {
    throw invalidArgument('Backing file and preallocation can only be used at the same time if extended_l2 is on');
  }
  if (given.backingFormat !== null && given.backingFile === null) {
    throw invalidArgument('Backing format cannot be used without backing file');
  }
  if (given.version < 3 && given.lazyRefcounts) throw needsVersion3('Lazy refcounts only supported with');
  const refcountOrder = refcountOrderFrom(number('refcount_bits', 16), given.version);
  checkDataFile(given);
  if (given.version < 3 && given.compressionType !== Compression.ZLIB) {
    throw needsVersion3('Non-zlib compression type is only supported with');
  }
  // The data file shows the same as the image only if every cluster is mapped to it.
  const preallocation = given.dataFileRaw && given.preallocation === 'off' ? 'metadata' : given.preallocation;
  return { ...given, clusterBits, refcountOrder, preallocation };
}

/** The options of the encryption; null for none. EINVAL with QEMU's texts. */
function encryptionFrom(values: CreateValues): NewEncryption | null {
  const own = new Map([...values].filter(([name]) => name.startsWith('encrypt.')));
  const isOld = parseBool('encryption', values.get('encryption') ?? 'off');
  if (isOld && own.has('encrypt.format')) {
    throw invalidArgument("'encrypt.format' and its alias 'encryption' can't be used at the same time");
  }
  if (!isOld && own.size === 0) return null;
  const format = isOld ? 'aes' : own.get('encrypt.format');
  own.delete('encrypt.format');
  if (format === undefined) throw invalidArgument("Parameter 'encrypt.format' is missing");
  const secret = own.get('encrypt.key-secret') ?? null;
  if (format === 'aes' || format === 'qcow') {
    const [other] = [...own.keys()].filter((name) => name !== 'encrypt.key-secret');
    if (other !== undefined) throw invalidArgument(`Parameter '${other}' is unexpected`);
    return { luks: null, secret };
  }
  if (format !== 'luks') throw refused('format', format);
  try {
    return { luks: luksChoices(own, 'encrypt.'), secret };
  } catch (error) {
    throw error instanceof CryptoError ? invalidArgument(error.message) : error;
  }
}

const compressions: ReadonlyMap<string, number> = new Map([
  ['zlib', Compression.ZLIB],
  ['zstd', Compression.ZSTD],
]);

function refused(name: string, value: string): BlockError {
  return invalidArgument(`Parameter '${name}' does not accept value '${value}'`);
}

function choice<T>(choices: ReadonlyMap<string, T>, name: string, value: string | null, initial: T): T {
  if (value === null) return initial;
  const chosen = choices.get(value);
  if (chosen === undefined) throw refused(name, value);
  return chosen;
}

function oneOf<T extends string>(choices: readonly T[], name: string, value: string | null, initial: T): T {
  return choice(new Map(choices.map((word) => [word, word])), name, value, initial);
}

function needsVersion3(what: string, or: 'and' | 'or' = 'and'): BlockError {
  return invalidArgument(`${what} compatibility level 1.1 ${or} above (use version=v3 or greater)`);
}

function clusterBitsFrom(clusterBytes: number, version: number, hasSubclusters: boolean): number {
  if (hasSubclusters && version < 3) {
    throw invalidArgument(
      'Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)',
    );
  }
  const bits = Math.log2(clusterBytes);
  if (!Number.isInteger(bits) || bits < MIN_CLUSTER_BITS || bits > MAX_CLUSTER_BITS) {
    throw invalidArgument('Cluster size must be a power of two between 512 and 2048k');
  }
  if (hasSubclusters && bits < 14) {
    throw invalidArgument('Extended L2 entries are only supported with cluster sizes of at least 16384 bytes');
  }
  return bits;
}

function refcountOrderFrom(bits: number, version: number): number {
  const order = Math.log2(bits);
  if (bits > 64 || !Number.isInteger(order)) {
    throw invalidArgument('Refcount width must be a power of two and may not exceed 64 bits');
  }
  if (version < 3 && bits !== 16) throw needsVersion3('Different refcount widths than 16 bits require', 'or');
  return order;
}

function checkDataFile({
  version,
  dataFile,
  dataFileRaw,
  backingFile,
}: Pick<NewImage, 'version' | 'dataFile' | 'dataFileRaw' | 'backingFile'>): void {
  if (dataFileRaw && dataFile === null) throw invalidArgument('data-file-raw requires data-file');
  if (dataFileRaw && backingFile !== null) {
    throw invalidArgument('Backing file and data-file-raw cannot be used at the same time');
  }
  if (dataFile !== null && version < 3) throw needsVersion3('External data files are only supported with');
}
