/** The bit sets of the block layer: open flags, request flags, permissions, roles of children, block status. */

/** How a node is opened. */
export const Open = {
  READ_WRITE: 1 << 1,
  /** Open read-only and put a temporary overlay on top. */
  SNAPSHOT: 1 << 3,
  /** Bypass the host's page cache (O_DIRECT). */
  NO_CACHE: 1 << 5,
  NATIVE_AIO: 1 << 7,
  NO_BACKING: 1 << 8,
  /** Never send flushes to the host. */
  NO_FLUSH: 1 << 9,
  COPY_ON_READ: 1 << 10,
  CHECK: 1 << 12,
  /** A reopen may change from read-only to read-write. */
  ALLOW_READ_WRITE: 1 << 13,
  /** Discards reach the driver. */
  UNMAP: 1 << 14,
  /** Without an explicit driver, take a protocol driver by the file name instead of probing. */
  PROTOCOL: 1 << 15,
  NO_IO: 1 << 16,
  /** Fall back to read-only where writing is not allowed. */
  AUTO_READ_ONLY: 1 << 17,
  IO_URING: 1 << 18,
} as const;

/** Demands of a request beyond its offset and length. */
export const Req = {
  COPY_ON_READ: 0x1,
  ZERO_WRITE: 0x2,
  MAY_UNMAP: 0x4,
  /** Force unit access: on stable storage before the request ends. */
  FUA: 0x10,
  WRITE_COMPRESSED: 0x20,
  /** The write does not change what is read. */
  WRITE_UNCHANGED: 0x40,
  SERIALISING: 0x80,
  /** Fail with ENOTSUP instead of a slow fallback. */
  NO_FALLBACK: 0x100,
  /** Copy on read without a reader. */
  PREFETCH: 0x200,
  NO_WAIT: 0x400,
} as const;

/** Rights of a parent on a child (`perm`), and those that it leaves to others (`shared`). */
export const Perm = {
  CONSISTENT_READ: 0x1,
  WRITE: 0x2,
  WRITE_UNCHANGED: 0x4,
  RESIZE: 0x8,
  ALL: 0xf,
} as const;

/** Roles of a child for its parent. */
export const Role = {
  DATA: 1,
  METADATA: 2,
  FILTERED: 4,
  COW: 8,
  PRIMARY: 16,
  IMAGE: 1 | 2 | 16,
} as const;

/** States of a range; see `BlockStatus`. */
export const Status = {
  DATA: 0x1,
  ZERO: 0x2,
  OFFSET_VALID: 0x4,
  RAW: 0x8,
  ALLOCATED: 0x10,
  EOF: 0x20,
  RECURSE: 0x40,
} as const;

/** The unit of lengths and of the `sector` of rules, whatever the alignment of a node. */
export const SECTOR_BYTES = 512;
/** The largest request that carries data: INT_MAX rounded down to a sector. */
export const REQUEST_MAX_BYTES = 2147483136;
/** The largest alignment that a node may ask for. */
export const MAX_ALIGNMENT = 1 << 30;
/** QEMU's limit of a node's length. */
export const QEMU_MAX_LENGTH = 2 ** 63 - MAX_ALIGNMENT;
/** The largest length of a node that a plain number holds exactly, rounded down to a sector. */
export const MAX_LENGTH = Number.MAX_SAFE_INTEGER - (Number.MAX_SAFE_INTEGER % SECTOR_BYTES);
