/** Feature bits and compression types of the header (qcow2 specification, "Header"). */

/** Bits of `incompatible_features`: a program that does not know one must not open the image. */
export const Incompatible = { DIRTY: 1n, CORRUPT: 2n, DATA_FILE: 4n, COMPRESSION: 8n, EXTENDED_L2: 16n } as const;
/** The incompatible features that this driver knows. */
export const INCOMPATIBLE_KNOWN = 31n;

/** Bits of `compatible_features`, which may be ignored. */
export const Compatible = { LAZY_REFCOUNTS: 1n } as const;

/** Bits of `autoclear_features`: a program that does not know one clears it when it writes to the image. */
export const Autoclear = { BITMAPS: 1n, DATA_FILE_RAW: 2n } as const;
/** The autoclear features that this driver keeps valid. */
export const AUTOCLEAR_KNOWN = 3n;

/** The type of a feature in the feature name table (header extension 0x6803f857). */
export const FeatureType = { INCOMPATIBLE: 0, COMPATIBLE: 1, AUTOCLEAR: 2 } as const;

/** Type, bit and name of every feature known here: what older programs print of a feature that they do not know. */
export const featureNames: readonly (readonly [type: number, bit: number, name: string])[] = [
  [FeatureType.INCOMPATIBLE, 0, 'dirty bit'],
  [FeatureType.INCOMPATIBLE, 1, 'corrupt bit'],
  [FeatureType.INCOMPATIBLE, 2, 'external data file'],
  [FeatureType.INCOMPATIBLE, 3, 'compression type'],
  [FeatureType.INCOMPATIBLE, 4, 'extended L2 entries'],
  [FeatureType.COMPATIBLE, 0, 'lazy refcounts'],
  [FeatureType.AUTOCLEAR, 0, 'bitmaps'],
  [FeatureType.AUTOCLEAR, 1, 'raw external data'],
];

/** Values of `compression_type`. */
export const Compression = { ZLIB: 0, ZSTD: 1 } as const;

/** How the guest's data is encrypted (qcow2 specification, "crypt_method"). */
export const CryptMethod = { NONE: 0, AES: 1, LUKS: 2 } as const;
