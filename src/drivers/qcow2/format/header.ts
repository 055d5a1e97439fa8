/** The header of the image: parsed and checked. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import { readUint64 } from './offsets.ts';
import { MAGIC } from '../probe.ts';

/** Version 2 ends here. */
export const HEADER_V2_BYTES = 72;
const MIN_HEADER_V3_BYTES = 104;
/** Where the compression type is; shorter headers have the default. */
const COMPRESSION_TYPE = 104;

/** The smallest cluster, 512 bytes (qcow2 specification, "Header": `cluster_bits` is at least 9). */
export const MIN_CLUSTER_BITS = 9;
/** The largest cluster, 2 MiB: QEMU's limit. */
const MAX_CLUSTER_BITS = 21;
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

function refused(message: string, errno: number = Errno.EINVAL): BlockError {
  return new BlockError(errno, message);
}

/** Parses the header's first `HEADER_BYTES`, and checks what can be checked without more. Offsets may be rounded. */
export function parseHeader(data: Buffer): Header {
  if (data.readUInt32BE(0) !== MAGIC) throw refused('Image is not in qcow2 format');
  const version = data.readUInt32BE(4);
  if (version < 2 || version > 3) throw refused(`Unsupported qcow2 version ${version}`, Errno.ENOTSUP);
  const clusterBits = data.readUInt32BE(20);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw refused(`Unsupported cluster size: 2^${clusterBits}`);
  }
  const isV3 = version === 3;
  const headerBytes = isV3 ? data.readUInt32BE(100) : HEADER_V2_BYTES;
  if (isV3 && headerBytes < MIN_HEADER_V3_BYTES) throw refused('qcow2 header too short');
  if (headerBytes > 1 << clusterBits) throw refused('qcow2 header exceeds cluster size');
  return {
    version,
    backingOffset: readUint64(data, 8),
    backingBytes: data.readUInt32BE(16),
    clusterBits,
    lengthBytes: readUint64(data, 24),
    cryptMethod: data.readUInt32BE(32),
    l1EntryCount: data.readUInt32BE(36),
    l1Offset: readUint64(data, 40),
    refcountTableOffset: readUint64(data, 48),
    refcountTableClusters: data.readUInt32BE(56),
    snapshotCount: data.readUInt32BE(60),
    snapshotsOffset: readUint64(data, 64),
    incompatible: isV3 ? data.readBigUInt64BE(72) : 0n,
    compatible: isV3 ? data.readBigUInt64BE(80) : 0n,
    autoclear: isV3 ? data.readBigUInt64BE(88) : 0n,
    refcountOrder: isV3 ? data.readUInt32BE(96) : 4,
    headerBytes,
    compressionType: headerBytes > COMPRESSION_TYPE ? (data[COMPRESSION_TYPE] ?? 0) : 0,
  };
}

/** Throws EINVAL for refcounts wider than 64 bits. */
export function checkRefcountOrder(order: number): void {
  if (order > MAX_REFCOUNT_ORDER) throw refused('Reference count entry width too large; may not exceed 64 bits');
}
