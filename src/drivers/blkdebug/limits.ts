/** Limits that the user puts on the node instead of those that its child brings along. */
import { BlockError } from '../../block/error.ts';
import type { Limits } from '../../block/graph/node.ts';
import { isAligned, isPowerOf2 } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';

/** In bytes; 0 leaves the limit alone. */
export interface LimitOverrides {
  readonly align: number;
  readonly maxTransfer: number;
  readonly optWriteZero: number;
  readonly maxWriteZero: number;
  readonly optDiscard: number;
  readonly maxDiscard: number;
}

/** Nothing given: all limits are those of the child. */
export const noOverrides: LimitOverrides = {
  align: 0,
  maxTransfer: 0,
  optWriteZero: 0,
  maxWriteZero: 0,
  optDiscard: 0,
  maxDiscard: 0,
};

/** The options that give them. */
export const limitTypes = {
  align: 'size64',
  'max-transfer': 'size64',
  'opt-write-zero': 'size64',
  'max-write-zero': 'size64',
  'opt-discard': 'size64',
  'max-discard': 'size64',
} as const;

type LimitOptions = { readonly [Name in keyof typeof limitTypes]?: bigint };

const INT_MAX = 0x7fff_ffffn;

/**
 * The limits, checked one after the other. `childAlignment` is the alignment of requests to the child, in bytes. EINVAL
 * for one that is not below 2^31-1 or not a multiple of the alignments that it builds on.
 */
export function parseLimits(options: LimitOptions, childAlignment: number): LimitOverrides {
  const align = limit(options, 'align', isPowerOf2);
  const requests = Math.max(align, childAlignment);
  const maxTransfer = limit(options, 'max-transfer', (bytes) => isAligned(bytes, requests));
  const optWriteZero = limit(options, 'opt-write-zero', (bytes) => isAligned(bytes, requests));
  const zeroes = Math.max(optWriteZero, requests);
  const maxWriteZero = limit(options, 'max-write-zero', (bytes) => isAligned(bytes, zeroes));
  const optDiscard = limit(options, 'opt-discard', (bytes) => isAligned(bytes, requests));
  const discards = Math.max(optDiscard, requests);
  const maxDiscard = limit(options, 'max-discard', (bytes) => isAligned(bytes, discards));
  return { align, maxTransfer, optWriteZero, maxWriteZero, optDiscard, maxDiscard };
}

function limit(options: LimitOptions, name: keyof LimitOptions, isPossible: (bytes: number) => boolean): number {
  const value = options[name] ?? 0n;
  const bytes = Number(value);
  if (value !== 0n && (value >= INT_MAX || !isPossible(bytes))) {
    throw new BlockError(Errno.EINVAL, `Cannot meet constraints with ${name} ${value}`);
  }
  return bytes;
}

/** Puts the limits that were asked for (in bytes; 0 if not) in the place of those of the file below. */
export function applyLimits(overrides: LimitOverrides, limits: Limits): void {
  if (overrides.align !== 0) limits.requestAlignment = overrides.align;
  if (overrides.maxTransfer !== 0) limits.maxTransfer = overrides.maxTransfer;
  if (overrides.optWriteZero !== 0) limits.pwriteZeroesAlignment = overrides.optWriteZero;
  if (overrides.maxWriteZero !== 0) limits.maxPwriteZeroes = overrides.maxWriteZero;
  if (overrides.optDiscard !== 0) limits.pdiscardAlignment = overrides.optDiscard;
  if (overrides.maxDiscard !== 0) limits.maxPdiscard = overrides.maxDiscard;
}
