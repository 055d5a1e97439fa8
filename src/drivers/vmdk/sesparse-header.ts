/** The two headers of a seSparse extent, VMware's space-efficient format; it is only read. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';

/** Of each header. */
export const SE_HEADER_BYTES = 512;
const CONST_MAGIC = 0xcafebaben;
const VOLATILE_MAGIC = 0xcafecafen;
const VERSION = 0x2_0000_0001n;
const GRAIN_SECTORS = 8n;
const TABLE_SECTORS = 64n;

/** Where the fields are; numbers are little-endian and have eight bytes. */
const At = {
  MAGIC: 0,
  VERSION: 8,
  CAPACITY: 16,
  GRAIN_SECTORS: 24,
  TABLE_SECTORS: 32,
  FLAGS: 40,
  RESERVED: [48, 56, 64, 72],
  VOLATILE_OFFSET: 80,
  DIRECTORY_OFFSET: 128,
  DIRECTORY_SECTORS: 136,
  TABLES_OFFSET: 144,
  GRAINS_OFFSET: 192,
  PADDING: 208,
  REPLAY: 24,
  VOLATILE_PADDING: 32,
} as const;

/** The parts of a header that never change; offsets and lengths in sectors. */
export interface SeHeader {
  readonly capacity: bigint;
  readonly grainSectors: number;
  readonly volatileOffset: bigint;
  readonly directoryOffset: bigint;
  readonly directoryEntries: number;
  readonly tableEntries: number;
  readonly tablesOffset: bigint;
  readonly grainsOffset: bigint;
}

/** Reads the constant header. EINVAL or ENOTSUP with QEMU's text for all but the one kind that there is. */
export function parseConstHeader(data: Buffer): SeHeader {
  const magic = data.readBigUInt64LE(At.MAGIC);
  if (magic !== CONST_MAGIC) throw invalidArgument(`Bad const header magic: ${hex(magic)}`);
  const version = data.readBigUInt64LE(At.VERSION);
  if (version !== VERSION) throw unsupported(`version: ${hex(version)}`);
  const grainSectors = data.readBigUInt64LE(At.GRAIN_SECTORS);
  if (grainSectors !== GRAIN_SECTORS) throw unsupported(`grain size: ${grainSectors}`);
  const tableSectors = data.readBigUInt64LE(At.TABLE_SECTORS);
  if (tableSectors !== TABLE_SECTORS) throw unsupported(`grain table size: ${tableSectors}`);
  const flags = data.readBigUInt64LE(At.FLAGS);
  if (flags !== 0n) throw unsupported(`flags: ${hex(flags)}`);
  const reserved = At.RESERVED.map((at) => data.readBigUInt64LE(at));
  if (reserved.some((bits) => bits !== 0n)) throw unsupported(`reserved bits: ${reserved.map(hex).join(' ')}`);
  if (!isZero(data, At.PADDING)) throw unsupported('non-zero const header padding');
  const directoryBytes = data.readBigUInt64LE(At.DIRECTORY_SECTORS) * 512n;
  return {
    capacity: data.readBigUInt64LE(At.CAPACITY),
    grainSectors: Number(grainSectors),
    volatileOffset: data.readBigUInt64LE(At.VOLATILE_OFFSET),
    directoryOffset: data.readBigUInt64LE(At.DIRECTORY_OFFSET),
    directoryEntries: Number(BigInt.asUintN(32, BigInt.asUintN(64, directoryBytes) / 8n)),
    tableEntries: Number((tableSectors * 512n) / 8n),
    tablesOffset: data.readBigUInt64LE(At.TABLES_OFFSET),
    grainsOffset: data.readBigUInt64LE(At.GRAINS_OFFSET),
  };
}

/** Refuses an extent whose journal has yet to be replayed. */
export function checkVolatileHeader(data: Buffer): void {
  const magic = data.readBigUInt64LE(At.MAGIC);
  if (magic !== VOLATILE_MAGIC) throw invalidArgument(`Bad volatile header magic: ${hex(magic)}`);
  if (data.readBigUInt64LE(At.REPLAY) !== 0n) {
    throw new BlockError(Errno.ENOTSUP, 'Image is dirty, Replaying journal not supported');
  }
  if (!isZero(data, At.VOLATILE_PADDING)) throw unsupported('non-zero volatile header padding');
}

function unsupported(what: string): BlockError {
  return new BlockError(Errno.ENOTSUP, `Unsupported ${what}`);
}

function hex(value: bigint): string {
  return `0x${value.toString(16).padStart(16, '0')}`;
}

function isZero(data: Buffer, from: number): boolean {
  return data.subarray(from).every((byte) => byte === 0);
}
