/** Refcounts in a block: entries of 1 to 64 bits, those below a byte packed from the least significant bit on. */
import { assert } from '../../../util/assert.ts';
import { TWO_32, writeUint64 } from './offsets.ts';

/** How the refcounts of one width are read and written; `index` is that of the cluster within the block. */
export interface RefcountWidth {
  /** The largest refcount; for 64 bits the nearest double. */
  readonly max: number;
  get(block: Buffer, index: number): number;
  set(block: Buffer, index: number, value: number): void;
}

function packed(bits: 1 | 2 | 4): RefcountWidth {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  return {
    max: mask,
    get(block, index) {
      return ((block[Math.floor(index / perByte)] ?? 0) >> (bits * (index % perByte))) & mask;
    },
    set(block, index, value) {
      const at = Math.floor(index / perByte);
      const shift = bits * (index % perByte);
      block[at] = ((block[at] ?? 0) & ~(mask << shift)) | (value << shift);
    },
  };
}

const widths: readonly RefcountWidth[] = [
  packed(1),
  packed(2),
  packed(4),
  {
    max: 0xff,
    get: (block, index) => block[index] ?? 0,
    set(block, index, value) {
      block[index] = value;
    },
  },
  {
    max: 0xffff,
    // The usual width, without the checks of Node's own methods: the index is within the block.
    get: (block, index) => ((block[index * 2] ?? 0) << 8) | (block[index * 2 + 1] ?? 0),
    set(block, index, value) {
      block[index * 2] = value >>> 8;
      block[index * 2 + 1] = value;
    },
  },
  {
    max: 0xffff_ffff,
    get: (block, index) => block.readUInt32BE(index * 4),
    set(block, index, value) {
      block.writeUInt32BE(value, index * 4);
    },
  },
  {
    max: 2 ** 64,
    get: (block, index) => block.readUInt32BE(index * 8) * TWO_32 + block.readUInt32BE(index * 8 + 4),
    set(block, index, value) {
      if (value >= 2 ** 64) block.fill(0xff, index * 8, index * 8 + 8);
      else writeUint64(block, value, index * 8);
    },
  },
];

/** The accessors for entries of 2^order bits, order 0 to 6. Values beyond 2^53 are inexact. */
export function refcountWidth(order: number): RefcountWidth {
  const width = widths[order];
  assert(width !== undefined, 'the order of refcounts is from 0 to 6');
  return width;
}
