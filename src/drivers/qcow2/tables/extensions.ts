/** Header extensions: read when an image is opened. Those that are not known are kept. */
import { invalidArgument, withContext } from '../../../block/error.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import { Autoclear, CryptMethod, FeatureType } from '../format/features.ts';
import { readUint64 } from '../format/offsets.ts';
import { untilNul } from '../format/validate.ts';
import type { LuksPlace } from './encryption.ts';
import type { Qcow2Image } from './image.ts';
import { readFile } from './io.ts';

/** The types of extensions (qcow2 specification, "Header extensions"). */
export const Extension = {
  END: 0,
  BACKING_FORMAT: 0xe279_2aca,
  FEATURE_TABLE: 0x6803_f857,
  CRYPTO_HEADER: 0x0537_be77,
  BITMAPS: 0x2385_2875,
  DATA_FILE: 0x4441_5441,
} as const;

const MAX_BITMAPS = 65535;
const MAX_BITMAP_DIRECTORY_BYTES = 1024 * MAX_BITMAPS;
/** Bytes of the bitmaps extension. */
export const BITMAPS_EXTENSION_BYTES = 24;
/** Bytes of an entry of the feature name table: type, bit, and 46 bytes of name. */
export const FEATURE_BYTES = 48;
/** QEMU keeps the format's name in 16 bytes, the terminator included. */
const MAX_FORMAT_BYTES = 16;
/** Bytes of the extension that says where the LUKS header is. */
const CRYPTO_HEADER_BYTES = 16;

/** Results of reading the extensions that are not noted in the image. */
export interface ExtensionsRead {
  readonly featureTable: Buffer | null;
  /** An extension had to be dropped, and the header should be written without it. */
  readonly needsUpdate: boolean;
}

/** Opens the LUKS header that an extension tells of. */
export type HeaderOpener = (place: LuksPlace) => Steps<void>;

/**
 * Reads the extensions between two offsets into `image`; the names of features only if they are wanted, and the LUKS
 * header only with `openHeader`. EINVAL for an extension that is malformed.
 */
export function* readExtensions(
  image: Qcow2Image,
  start: number,
  end: number,
  { wantsFeatures, openHeader }: { wantsFeatures: boolean; openHeader?: HeaderOpener | undefined },
): Steps<ExtensionsRead> {
  let featureTable: Buffer | null = null;
  let needsUpdate = false;
  const head = Buffer.alloc(8);
  for (let offset = start; offset < end; ) {
    yield readOr(image, offset, head, `qcow2_read_extension: ERROR: pread fail from offset ${offset}`);
    const magic = head.readUInt32BE(0);
    const bytes = head.readUInt32BE(4);
    offset += head.length;
    if (offset > end || bytes > end - offset) throw invalidArgument('Header extension too large');
    if (magic === Extension.END) break;

    // Bounded by the first cluster, which is 2 MiB at most.
    const position = offset;
    const read = function* (message: string): Steps<Buffer> {
      const data = Buffer.alloc(bytes);
      yield readOr(image, position, data, message);
      return data;
    };
    switch (magic) {
      case Extension.BACKING_FORMAT:
        if (bytes >= MAX_FORMAT_BYTES) {
          throw invalidArgument(`ERROR: ext_backing_format: len=${bytes} too large (>=${MAX_FORMAT_BYTES})`);
        }
        image.backingFormat = untilNul(yield* read('ERROR: ext_backing_format: Could not read format name'));
        break;
      case Extension.FEATURE_TABLE:
        if (wantsFeatures) featureTable = yield* read('ERROR: ext_feature_table: Could not read table');
        break;
      case Extension.CRYPTO_HEADER:
        checkCryptoExtension(image, bytes);
        image.luksHeader = luksPlace(image, yield* read('Unable to read CRYPTO header extension'));
        if (openHeader !== undefined) yield* openHeader(image.luksHeader);
        break;
      case Extension.BITMAPS:
        if (bytes !== BITMAPS_EXTENSION_BYTES) throw invalidArgument('bitmaps_ext: Invalid extension length');
        if ((image.autoclear & Autoclear.BITMAPS) === 0n) {
          warnOfStaleBitmaps(image);
          needsUpdate = true;
        } else {
          takeBitmaps(image, yield* read('bitmaps_ext: Could not read ext header'));
        }
        break;
      case Extension.DATA_FILE:
        image.dataFileName = untilNul(yield* read('ERROR: Could not read data file name'));
        break;
      default:
        image.unknownExtensions.unshift({
          magic,
          data: yield* read('ERROR: unknown extension: Could not read data'),
        });
    }
    offset += bytes + ((8 - (bytes % 8)) % 8);
  }
  return { featureTable, needsUpdate };
}

function readOr(image: Qcow2Image, offset: number, data: Buffer, message: string): Pending {
  return withContext(message, () => readFile(image, offset, data));
}

function checkCryptoExtension(image: Qcow2Image, bytes: number): void {
  if (image.cryptMethod !== CryptMethod.LUKS) {
    throw invalidArgument('CRYPTO header extension only expected with LUKS encryption method');
  }
  if (bytes !== CRYPTO_HEADER_BYTES) {
    throw invalidArgument(`CRYPTO header extension size ${bytes}, but expected size ${CRYPTO_HEADER_BYTES}`);
  }
}

function luksPlace(image: Qcow2Image, extension: Buffer): LuksPlace {
  const offset = extension.readBigUInt64BE(0);
  if (offset % BigInt(image.clusterBytes) !== 0n) {
    throw invalidArgument(
      `Encryption header offset '${offset}' is not a multiple of cluster size '${image.clusterBytes}'`,
    );
  }
  return { offset: Number(offset), bytes: Number(extension.readBigUInt64BE(8)), extension };
}

function warnOfStaleBitmaps(image: Qcow2Image): void {
  const { context } = image.node;
  context.report(
    image.version < 3
      ? 'warning: This qcow2 v2 image contains bitmaps, but they may have been modified by a program ' +
          'without persistent bitmap support; so now they must all be considered inconsistent'
      : 'warning: a program lacking bitmap support modified this file, so all bitmaps are now considered ' +
          'inconsistent',
  );
  context.warn("Some clusters may be leaked, run 'qemu-img check -r' on the image file to fix.");
}

function takeBitmaps(image: Qcow2Image, data: Buffer): void {
  const count = data.readUInt32BE(0);
  const directoryBytes = readUint64(data, 8);
  const directoryOffset = readUint64(data, 16);
  if (data.readUInt32BE(4) !== 0) throw invalidArgument('bitmaps_ext: Reserved field is not zero');
  if (count > MAX_BITMAPS) {
    throw invalidArgument(
      `bitmaps_ext: Image has ${count} bitmaps, exceeding the QEMU supported maximum of ${MAX_BITMAPS}`,
    );
  }
  if (count === 0) throw invalidArgument('found bitmaps extension with zero bitmaps');
  if (directoryOffset % image.clusterBytes !== 0) throw invalidArgument('bitmaps_ext: invalid bitmap directory offset');
  if (directoryBytes > MAX_BITMAP_DIRECTORY_BYTES) {
    throw invalidArgument(
      `bitmaps_ext: bitmap directory size (${data.readBigUInt64BE(8)}) exceeds the maximum supported size ` +
        `(${MAX_BITMAP_DIRECTORY_BYTES})`,
    );
  }
  image.bitmapCount = count;
  image.bitmapDirectoryOffset = directoryOffset;
  image.bitmapDirectoryBytes = directoryBytes;
}

/** The names of incompatible features that are not known here, by the image's own table. */
export function unsupportedFeatures(table: Buffer | null, unknown: bigint): string {
  const names: string[] = [];
  let rest = unknown;
  const entryCount = table === null ? 0 : Math.floor(table.length / FEATURE_BYTES);
  for (let index = 0; table !== null && index < entryCount; index++) {
    const entry = table.subarray(index * FEATURE_BYTES, (index + 1) * FEATURE_BYTES);
    const name = untilNul(entry.subarray(2));
    if (name.length === 0) break;
    const bit = 1n << BigInt((entry[1] ?? 0) & 63);
    if (entry[0] !== FeatureType.INCOMPATIBLE || (rest & bit) === 0n) continue;
    names.push(name.toString('latin1'));
    rest &= ~bit;
  }
  if (rest !== 0n) names.push(`Unknown incompatible feature: ${rest.toString(16)}`);
  return names.join(', ');
}
