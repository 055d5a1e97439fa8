/** The header of an image: parsed and checked. */
import { BlockError, invalidArgument } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import { readUint64 } from './offsets.ts';
import { HEADER_V2_BYTES, HeaderField, MAGIC, MIN_HEADER_V3_BYTES } from './header-fields.ts';

/** The smallest cluster, 512 bytes (qcow2 specification, "Header": `cluster_bits` is at least 9). */
export const MIN_CLUSTER_BITS = 9;
/** The largest cluster, 2 MiB: QEMU's limit. */
export const MAX_CLUSTER_BITS = 21;
/** Refcounts of 64 bits. */
const MAX_REFCOUNT_ORDER = 6;

/**
 * The fields of the header (qcow2 specification, "Header"); version 2 has the values that it implies. Offsets and
 * lengths in bytes.
 */
export interface Header {
  readonly version: number;
  readonly backingOffset: number;
  readonly backingBytes: number;
  readonly clusterBits: number;
  readonly lengthBytes: number;
  readonly cryptMethod: number;
  readonly l1EntryCount: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  /** The offset in hexadecimal digits: an image may say more than a number holds. */
  readonly refcountTableText: string;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatible: bigint;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  readonly refcountOrder: number;
  readonly headerBytes: number;
  readonly compressionType: number;
}

/** Parses the header's first `HEADER_BYTES`, and checks what can be checked without more. Offsets may be rounded. */
export function parseHeader(data: Buffer): Header {
  if (data.readUInt32BE(HeaderField.MAGIC) !== MAGIC) throw invalidArgument('Image is not in qcow2 format');
  const version = data.readUInt32BE(HeaderField.VERSION);
  if (version < 2 || version > 3) throw new BlockError(Errno.ENOTSUP, `Unsupported qcow2 version ${version}`);
  const clusterBits = data.readUInt32BE(HeaderField.CLUSTER_BITS);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw invalidArgument(`Unsupported cluster size: 2^${clusterBits}`);
  }
  const isV3 = version === 3;
  const headerBytes = isV3 ? data.readUInt32BE(HeaderField.HEADER_BYTES) : HEADER_V2_BYTES;
  if (isV3 && headerBytes < MIN_HEADER_V3_BYTES) throw invalidArgument('qcow2 header too short');
  if (headerBytes > 1 << clusterBits) throw invalidArgument('qcow2 header exceeds cluster size');
  return {
    version,
    backingOffset: readUint64(data, HeaderField.BACKING_OFFSET),
    backingBytes: data.readUInt32BE(HeaderField.BACKING_BYTES),
    clusterBits,
    lengthBytes: readUint64(data, HeaderField.LENGTH),
    cryptMethod: data.readUInt32BE(HeaderField.CRYPT_METHOD),
    l1EntryCount: data.readUInt32BE(HeaderField.L1_ENTRY_COUNT),
    l1Offset: readUint64(data, HeaderField.L1_OFFSET),
    refcountTableOffset: readUint64(data, HeaderField.REFCOUNT_TABLE_OFFSET),
    refcountTableText: data.readBigUInt64BE(HeaderField.REFCOUNT_TABLE_OFFSET).toString(16),
    refcountTableClusters: data.readUInt32BE(HeaderField.REFCOUNT_TABLE_CLUSTERS),
    snapshotCount: data.readUInt32BE(HeaderField.SNAPSHOT_COUNT),
    snapshotsOffset: readUint64(data, HeaderField.SNAPSHOTS_OFFSET),
    incompatible: isV3 ? data.readBigUInt64BE(HeaderField.INCOMPATIBLE) : 0n,
    compatible: isV3 ? data.readBigUInt64BE(HeaderField.COMPATIBLE) : 0n,
    autoclear: isV3 ? data.readBigUInt64BE(HeaderField.AUTOCLEAR) : 0n,
    refcountOrder: isV3 ? data.readUInt32BE(HeaderField.REFCOUNT_ORDER) : 4,
    headerBytes,
    compressionType: headerBytes > HeaderField.COMPRESSION_TYPE ? (data[HeaderField.COMPRESSION_TYPE] ?? 0) : 0,
  };
}

/** Throws EINVAL for refcounts wider than 64 bits. */
export function checkRefcountOrder(order: number): void {
  if (order > MAX_REFCOUNT_ORDER)
    throw invalidArgument('Reference count entry width too large; may not exceed 64 bits');
}
