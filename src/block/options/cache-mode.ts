/** The modes of `--cache`, `--discard` and `--aio`, as bits of `Open`. */
import { Open } from '../flags.ts';

/** The bits that a cache mode decides about; clear them before setting those of the mode. */
export const CACHE_FLAGS = Open.NO_CACHE | Open.NO_FLUSH;

/** The meaning of a mode of `--cache`. */
export interface CacheMode {
  /** Bits out of `CACHE_FLAGS`. */
  readonly flags: number;
  /** Every write is on stable storage before it ends. */
  readonly writethrough: boolean;
}

const cacheModes: ReadonlyMap<string, CacheMode> = new Map([
  ['off', { flags: Open.NO_CACHE, writethrough: false }],
  ['none', { flags: Open.NO_CACHE, writethrough: false }],
  ['directsync', { flags: Open.NO_CACHE, writethrough: true }],
  ['writeback', { flags: 0, writethrough: false }],
  ['unsafe', { flags: Open.NO_FLUSH, writethrough: false }],
  ['writethrough', { flags: 0, writethrough: true }],
]);

/** The meaning of a cache mode; null if there is none of that name. */
export function parseCacheMode(mode: string): CacheMode | null {
  return cacheModes.get(mode) ?? null;
}

/** The bits that a discard mode sets, out of `Open.UNMAP`; null if there is none of that name. */
export function parseDiscard(mode: string): { readonly flags: number } | null {
  if (mode === 'off' || mode === 'ignore') return { flags: 0 };
  if (mode === 'on' || mode === 'unmap') return { flags: Open.UNMAP };
  return null;
}

/** The bits that an AIO mode adds, out of `Open.NATIVE_AIO | Open.IO_URING`; null if there is none of that name. */
export function parseAio(mode: string): { readonly flags: number } | null {
  if (mode === 'threads') return { flags: 0 };
  if (mode === 'native') return { flags: Open.NATIVE_AIO };
  if (mode === 'io_uring') return { flags: Open.IO_URING };
  return null;
}
