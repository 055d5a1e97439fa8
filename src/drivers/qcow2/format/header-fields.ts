/**
 * Where each field of the header is (qcow2 specification, "Header"), and sizes of the structures that it points to.
 * This file imports nothing, so that the probe, which is loaded with the program, can use it.
 */

/** The first four bytes of an image: "QFI\xfb". */
export const MAGIC = 0x5146_49fb;

/** Offsets of the fields in bytes from the start of the file. */
export const HeaderField = {
  MAGIC: 0,
  VERSION: 4,
  BACKING_OFFSET: 8,
  BACKING_BYTES: 16,
  CLUSTER_BITS: 20,
  LENGTH: 24,
  CRYPT_METHOD: 32,
  /** Followed by `L1_OFFSET`: both are written in one piece. */
  L1_ENTRY_COUNT: 36,
  L1_OFFSET: 40,
  /** Followed by `REFCOUNT_TABLE_CLUSTERS`: both are written in one piece. */
  REFCOUNT_TABLE_OFFSET: 48,
  REFCOUNT_TABLE_CLUSTERS: 56,
  /** Followed by `SNAPSHOTS_OFFSET`: both are written in one piece. */
  SNAPSHOT_COUNT: 60,
  SNAPSHOTS_OFFSET: 64,
  INCOMPATIBLE: 72,
  COMPATIBLE: 80,
  AUTOCLEAR: 88,
  REFCOUNT_ORDER: 96,
  HEADER_BYTES: 100,
  COMPRESSION_TYPE: 104,
} as const;

/** The header of version 2 ends here. */
export const HEADER_V2_BYTES = 72;
/** The shortest header of version 3. */
export const MIN_HEADER_V3_BYTES = 104;
/** The part of the header that is known here. */
export const HEADER_BYTES = 112;

/** Bytes of an L1 table entry (qcow2 specification, "L1 table entry"). */
export const L1_ENTRY_BYTES = 8;
/** The longest L1 table that is accepted, in bytes: QEMU's limit. */
export const MAX_L1_BYTES = 32 * 1024 * 1024;
/** Bytes of a refcount table entry (qcow2 specification, "Host cluster management"). */
export const REFCOUNT_ENTRY_BYTES = 8;
/** The longest refcount table that is accepted, in bytes: QEMU's limit. */
export const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;

/** The fields that point to a table: an entry count and an offset, or an offset and a count of clusters. */
export const POINTER_BYTES = 12;
