/** The headers of sparse extents ("Virtual Disk Format 5.0"), and the checks that they have to pass. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { SPARSE_MAGIC } from './probe.ts';

/** A header follows the four bytes of the magic number; numbers of both kinds are little-endian. */
export const MAGIC_BYTES = 4;
export const SPARSE_HEADER_BYTES = 75;
export const COWD_HEADER_BYTES = 40;

/** Where fields of a sparse header are, counted from its magic number. */
export const Field = {
  VERSION: 4,
  FLAGS: 8,
  CAPACITY: 12,
  GRAIN_SECTORS: 20,
  DESCRIPTOR_OFFSET: 28,
  DESCRIPTOR_SECTORS: 36,
  TABLE_ENTRIES: 44,
  BACKUP_OFFSET: 48,
  DIRECTORY_OFFSET: 56,
  OVERHEAD_SECTORS: 64,
  CHECK_BYTES: 73,
  COMPRESSION: 77,
} as const;

/** Bits of `Field.FLAGS`. */
export const Flag = {
  NEWLINE_TEST: 1,
  /** There is a second set of tables. */
  BACKUP: 1 << 1,
  /** An entry of 1 says that a grain reads as zeroes. */
  ZERO_GRAINS: 1 << 2,
  COMPRESSED: 1 << 16,
  /** Compressed grains have their place and length before them. */
  MARKERS: 1 << 17,
} as const;

export const DEFLATE = 1;
/** The offset of a directory that only the footer tells. */
const AT_END = 2n ** 64n - 1n;
const MAX_VERSION = 3;
const MAX_TABLE_ENTRIES = 512;

/** A sparse header; offsets and lengths in sectors, as 64 bits have them. */
export interface SparseHeader {
  readonly version: number;
  readonly flags: number;
  readonly capacity: bigint;
  readonly grainSectors: bigint;
  readonly descriptorOffset: bigint;
  readonly tableEntries: number;
  readonly backupOffset: bigint;
  readonly directoryOffset: bigint;
  readonly overheadSectors: bigint;
  readonly isCompressed: boolean;
}

/** Reads the fields of a header, whose magic number `data` begins with. */
export function parseSparseHeader(data: Buffer): SparseHeader {
  return {
    version: data.readUInt32LE(Field.VERSION),
    flags: data.readUInt32LE(Field.FLAGS),
    capacity: data.readBigUInt64LE(Field.CAPACITY),
    grainSectors: data.readBigUInt64LE(Field.GRAIN_SECTORS),
    descriptorOffset: data.readBigUInt64LE(Field.DESCRIPTOR_OFFSET),
    tableEntries: data.readUInt32LE(Field.TABLE_ENTRIES),
    backupOffset: data.readBigUInt64LE(Field.BACKUP_OFFSET),
    directoryOffset: data.readBigUInt64LE(Field.DIRECTORY_OFFSET),
    overheadSectors: data.readBigUInt64LE(Field.OVERHEAD_SECTORS),
    isCompressed: data.readUInt16LE(Field.COMPRESSION) === DEFLATE,
  };
}

/** Whether the header is only a copy of the one in the footer, which knows where the tables are. */
export function isInFooter({ directoryOffset }: SparseHeader): boolean {
  return directoryOffset === AT_END;
}

/** A footer: its marker, the header, and the marker of the end, a sector each. */
export const FOOTER_BYTES = 1536;
const HEADER_IN_FOOTER = 512;
const END_IN_FOOTER = 1024;
/** Within a marker: a number, then the length of data, and the type of a marker without any. */
const MARKER_SIZE = 8;
const MARKER_TYPE = 12;
const FOOTER_TYPE = 3;
const END_TYPE = 0;

/** The header in a footer. EINVAL if it is none. */
export function parseFooter(data: Buffer): SparseHeader {
  const header = data.subarray(HEADER_IN_FOOTER);
  const end = data.subarray(END_IN_FOOTER);
  const isFooter =
    header.toString('latin1', 0, MAGIC_BYTES) === SPARSE_MAGIC &&
    data.readUInt32LE(MARKER_SIZE) === 0 &&
    data.readUInt32LE(MARKER_TYPE) === FOOTER_TYPE &&
    end.readBigUInt64LE(0) === 0n &&
    end.readUInt32LE(MARKER_SIZE) === 0 &&
    end.readUInt32LE(MARKER_TYPE) === END_TYPE;
  if (!isFooter) throw invalidArgument('Invalid footer');
  return parseSparseHeader(header);
}

/** Refuses, with QEMU's texts, what cannot be read or, if `isWritable`, must not be written; `fileSectors` as it is. */
export function checkSparseHeader(header: SparseHeader, isWritable: boolean, fileSectors: number): void {
  const { version, tableEntries, overheadSectors } = header;
  if (version > MAX_VERSION) throw new BlockError(Errno.ENOTSUP, `Unsupported VMDK version ${version}`);
  // Version 3 may track changed blocks, which a writer would have to keep up (VMware KB 2064959).
  if (version === MAX_VERSION && isWritable && !header.isCompressed) {
    throw invalidArgument('VMDK version 3 must be read only');
  }
  if (tableEntries > MAX_TABLE_ENTRIES) throw invalidArgument('L2 table size too big');
  if (reachOf(header) === 0n) throw invalidArgument('L1 entry size is invalid');
  if (BigInt(fileSectors) < overheadSectors) {
    const bytes = BigInt.asIntN(64, overheadSectors * 512n);
    throw invalidArgument(`File truncated, expecting at least ${bytes} bytes`);
  }
}

/** The sectors that one table maps, in 32 bits as QEMU counts them. */
function reachOf({ tableEntries, grainSectors }: SparseHeader): bigint {
  return BigInt.asUintN(32, BigInt(tableEntries) * grainSectors);
}

/** The number of tables, in 32 bits as QEMU counts them. */
export function tableCount(header: SparseHeader): number {
  const reach = reachOf(header);
  return Number(BigInt.asUintN(32, BigInt.asUintN(64, header.capacity + reach - 1n) / reach));
}
