/** The header of a qed image (docs/interop/qed_spec.rst), and the checks that it has to pass. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { Errno } from '../../util/errno.ts';
import { HEADER_BYTES, MAGIC } from './probe.ts';

/** Bits of `Header.features`. */
export const Feature = {
  BACKING_FILE: 1n,
  /** The image was not closed after clusters were allocated. */
  NEED_CHECK: 2n,
  /** The backing file is raw, whatever it looks like. */
  BACKING_FORMAT_NO_PROBE: 4n,
} as const;
const FEATURES_KNOWN = Feature.BACKING_FILE | Feature.NEED_CHECK | Feature.BACKING_FORMAT_NO_PROBE;

const MIN_CLUSTER_BYTES = 4096;
const MAX_CLUSTER_BYTES = 64 * 1024 * 1024;
const MAX_TABLE_CLUSTERS = 16;
const ENTRY_BYTES = 8;

/** A header as it stands in the image; lengths that say `Clusters` are in clusters, all others in bytes. */
export interface Header {
  readonly clusterBytes: number;
  readonly tableClusters: number;
  readonly headerClusters: number;
  /** Bits of `Feature`. */
  features: bigint;
  readonly compatibleFeatures: bigint;
  autoclearFeatures: bigint;
  readonly l1Offset: bigint;
  imageBytes: bigint;
  readonly backingOffset: number;
  readonly backingBytes: number;
}

/** Reads the fields of a header. EINVAL or ENOTSUP with QEMU's text for one that no image can have. */
export function parseHeader(data: Buffer): Header {
  if (!MAGIC.equals(data.subarray(0, MAGIC.length))) throw invalidArgument('Image not in QED format');
  const features = data.readBigUInt64LE(16);
  const unknown = features & ~FEATURES_KNOWN;
  if (unknown !== 0n) throw new BlockError(Errno.ENOTSUP, `Unsupported QED features: ${unknown.toString(16)}`);
  const clusterBytes = data.readUInt32LE(4);
  if (!isPowerOfTwo(clusterBytes) || clusterBytes < MIN_CLUSTER_BYTES || clusterBytes > MAX_CLUSTER_BYTES) {
    throw invalidArgument('QED cluster size is invalid');
  }
  const tableClusters = data.readUInt32LE(8);
  if (!isPowerOfTwo(tableClusters) || tableClusters > MAX_TABLE_CLUSTERS) {
    throw invalidArgument('QED table size is invalid');
  }
  const header: Header = {
    clusterBytes,
    tableClusters,
    headerClusters: data.readUInt32LE(12),
    features,
    compatibleFeatures: data.readBigUInt64LE(24),
    autoclearFeatures: data.readBigUInt64LE(32),
    l1Offset: data.readBigUInt64LE(40),
    imageBytes: data.readBigUInt64LE(48),
    backingOffset: data.readUInt32LE(56),
    backingBytes: data.readUInt32LE(60),
  };
  if (!isImageLength(header, header.imageBytes)) throw invalidArgument('QED image size is invalid');
  return header;
}

/** The header as bytes of the image. */
export function encodeHeader(header: Header): Buffer {
  const data = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(data);
  data.writeUInt32LE(header.clusterBytes, 4);
  data.writeUInt32LE(header.tableClusters, 8);
  data.writeUInt32LE(header.headerClusters, 12);
  data.writeBigUInt64LE(header.features, 16);
  data.writeBigUInt64LE(header.compatibleFeatures, 24);
  data.writeBigUInt64LE(header.autoclearFeatures, 32);
  data.writeBigUInt64LE(header.l1Offset, 40);
  data.writeBigUInt64LE(header.imageBytes, 48);
  data.writeUInt32LE(header.backingOffset, 56);
  data.writeUInt32LE(header.backingBytes, 60);
  return data;
}

/** Whether a disk can be so long: whole sectors, and within reach of the tables, counted in 64 bits as QEMU does. */
export function isImageLength({ clusterBytes, tableClusters }: Header, bytes: bigint): boolean {
  const entries = BigInt((clusterBytes * tableClusters) / ENTRY_BYTES);
  const reach = BigInt.asUintN(64, BigInt.asUintN(64, entries * BigInt(clusterBytes)) * entries);
  return bytes % BigInt(SECTOR_BYTES) === 0n && bytes <= reach;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
