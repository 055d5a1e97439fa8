/**
 * Offsets and the 64-bit fields of qcow2: read and written as two 32-bit halves, never as BigInt.
 *
 * A field that holds an offset is a multiple of 512 below 2^56, which a double holds exactly. What a file can have ends
 * at 2^53; reading behind that counts as reading behind the end of the file.
 */
import type { GuestOffset, HostOffset } from '../../../block/driver.ts';

export type { GuestOffset, HostOffset };

/** The weight of the high half of a field. */
export const TWO_32 = 0x1_0000_0000;

/** Bit 63: the cluster's refcount is exactly one. In the high half. */
export const COPIED = 0x8000_0000;
/** Bit 62: the cluster is compressed. In the high half. */
export const COMPRESSED = 0x4000_0000;
/** Bit 0: the cluster reads as zeroes. In the low half. */
export const ZERO = 1;

/** Reserved bits of an L1 entry, by halves. */
export const L1_RESERVED_HIGH = 0x7f00_0000;
/** The low half. */
export const L1_RESERVED_LOW = 0x1ff;
/** Reserved bits of the L2 entry of a cluster that is not compressed, by halves. */
export const L2_RESERVED_HIGH = 0x3f00_0000;
/** The low half. */
export const L2_RESERVED_LOW = 0x1fe;

/** The offset field of an L1 entry or of a standard L2 entry: bits 9 to 55. */
export function entryOffset(high: number, low: number): HostOffset {
  return ((high & 0x00ff_ffff) * TWO_32 + ((low & 0xffff_fe00) >>> 0)) as HostOffset;
}

/** The offset field of the L1 or standard L2 entry at `at` of a table. */
export function readEntryOffset(table: Uint8Array, at: number): HostOffset {
  const high = ((table[at + 1] as number) << 16) | ((table[at + 2] as number) << 8) | (table[at + 3] as number);
  const middle = ((table[at + 4] as number) << 8) | (table[at + 5] as number);
  return (high * TWO_32 + middle * 0x1_0000 + ((table[at + 6] as number) & 0xfe) * 0x100) as HostOffset;
}

/** The offset field of a refcount table entry: bits 9 to 63. Inexact beyond 2^62. */
export function refcountEntryOffset(high: number, low: number): HostOffset {
  return ((high >>> 0) * TWO_32 + ((low & 0xffff_fe00) >>> 0)) as HostOffset;
}

/** The upper 32 bits of an offset below 2^53. */
export function highOf(offset: number): number {
  return Math.floor(offset / TWO_32);
}

/** The lower 32 bits, unsigned. */
export function lowOf(offset: number): number {
  return offset >>> 0;
}

/** A 64-bit big-endian field. Inexact beyond 2^53. */
export function readUint64(data: Buffer, at: number): number {
  return data.readUInt32BE(at) * TWO_32 + data.readUInt32BE(at + 4);
}

/** A 64-bit big-endian field of an integer from 0 to 2^53. */
export function writeUint64(data: Buffer, value: number, at: number): void {
  data.writeUInt32BE(highOf(value), at);
  data.writeUInt32BE(lowOf(value), at + 4);
}

/** As C's `%#x`: no prefix for zero. */
export function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

/** A 64-bit value as C's `%x`. */
export function hex64(high: number, low: number): string {
  return ((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)).toString(16);
}

/** An offset moved on by some bytes, of the same kind. */
export function advance<T extends number>(offset: T, bytes: number): T {
  return (offset + bytes) as T;
}
