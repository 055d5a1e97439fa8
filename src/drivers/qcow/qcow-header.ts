/** The header of a qcow image of version 1, and the checks that it has to pass. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { MAGIC, VERSION } from './probe.ts';

const INT_MAX = 0x7fff_ffff;
const ENTRY_BYTES = 8;
const UINT64_END = 2n ** 64n;
/** Tables and clusters have 512 bytes to 64 KiB. */
const MIN_BITS = 9;
const MAX_BITS = 16;

/** Encryption of the guest's data: `Header.cryptMethod`. */
export const CryptMethod = { NONE: 0, AES: 1 } as const;

/** A header; lengths and offsets in bytes, the offsets rounded where they are beyond 2^53. */
export interface Header {
  readonly backingOffset: number;
  readonly backingBytes: number;
  readonly lengthBytes: bigint;
  readonly clusterBits: number;
  /** Of the number of entries of an L2 table. */
  readonly l2Bits: number;
  readonly cryptMethod: number;
  readonly l1Offset: number;
}

/** Reads the fields of a header. EINVAL or ENOTSUP with QEMU's text for one that no image can have. */
export function parseHeader(data: Buffer): Header {
  if (data.readUInt32BE(0) !== MAGIC) throw invalidArgument('Image not in qcow format');
  const version = data.readUInt32BE(4);
  if (version !== VERSION) {
    const hint = version === 2 || version === 3 ? "\nTry the 'qcow2' driver instead." : '';
    throw new BlockError(Errno.ENOTSUP, `qcow (v${VERSION}) does not support qcow version ${version}${hint}`);
  }
  const lengthBytes = data.readBigUInt64BE(24);
  if (lengthBytes <= 1n) throw invalidArgument('Image size is too small (must be at least 2 bytes)');
  const clusterBits = data.readUInt8(32);
  if (clusterBits < MIN_BITS || clusterBits > MAX_BITS) {
    throw invalidArgument('Cluster size must be between 512 and 64k');
  }
  const l2Bits = data.readUInt8(33);
  if (l2Bits < MIN_BITS - 3 || l2Bits > MAX_BITS - 3) {
    throw invalidArgument('L2 table size must be between 512 and 64k');
  }
  return {
    backingOffset: Number(data.readBigUInt64BE(8)),
    backingBytes: data.readUInt32BE(16),
    lengthBytes,
    clusterBits,
    l2Bits,
    cryptMethod: data.readUInt32BE(36),
    l1Offset: Number(data.readBigUInt64BE(40)),
  };
}

/** The number of entries of the L1 table. EINVAL if there would be too many. */
export function l1EntryCount({ lengthBytes, clusterBits, l2Bits }: Header): number {
  const reach = 1n << BigInt(clusterBits + l2Bits);
  const count = (lengthBytes + reach - 1n) / reach;
  if (lengthBytes >= UINT64_END - reach || count > BigInt(Math.floor(INT_MAX / ENTRY_BYTES))) {
    throw invalidArgument('Image too large');
  }
  return Number(count);
}
