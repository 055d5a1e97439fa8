/**
 * The heads of logs of writes, as dm-log-writes of Linux and blklogwrites of QEMU make them: a superblock, then for
 * each request a block with its head and the blocks of its data. Numbers are little-endian, and a block is a sector of
 * the logged device (Documentation/admin-guide/device-mapper/log-writes.rst).
 */

export const LOG_MAGIC = 0x6a_7366_7773_6872n;
export const LOG_VERSION = 1n;
export const SUPER_BYTES = 28;
export const HEAD_BYTES = 32;

/** Bits of `LogHead.flags`. */
export const LogFlag = { FLUSH: 1, FUA: 2, DISCARD: 4, MARK: 8, METADATA: 16 } as const;

/** The superblock: `entryCount` requests follow. */
export interface LogSuper {
  readonly magic: bigint;
  readonly version: bigint;
  readonly entryCount: bigint;
  readonly sectorBytes: number;
}

/** The head of a request; its range in sectors of the log. */
export interface LogHead {
  readonly sector: bigint;
  readonly sectorCount: bigint;
  readonly flags: bigint;
}

/** The fields of a superblock, unchecked. */
export function decodeSuper(data: Buffer): LogSuper {
  return {
    magic: data.readBigUInt64LE(0),
    version: data.readBigUInt64LE(8),
    entryCount: data.readBigUInt64LE(16),
    sectorBytes: data.readUInt32LE(24),
  };
}

/** A superblock as the block of a sector. */
export function encodeSuper(entryCount: number, sectorBytes: number): Buffer {
  const block = Buffer.alloc(sectorBytes);
  block.writeBigUInt64LE(LOG_MAGIC, 0);
  block.writeBigUInt64LE(LOG_VERSION, 8);
  block.writeBigUInt64LE(BigInt(entryCount), 16);
  block.writeUInt32LE(sectorBytes, 24);
  return block;
}

/** The fields of a head, unchecked. */
export function decodeHead(data: Buffer): LogHead {
  return {
    sector: data.readBigUInt64LE(0),
    sectorCount: data.readBigUInt64LE(8),
    flags: data.readBigUInt64LE(16),
  };
}

/** Puts a head at the beginning of the block of a request. Numbers of sectors. */
export function putHead(block: Buffer, sector: number, sectorCount: number, flags: number): void {
  block.writeBigUInt64LE(BigInt(sector), 0);
  block.writeBigUInt64LE(BigInt(sectorCount), 8);
  block.writeBigUInt64LE(BigInt(flags), 16);
}
