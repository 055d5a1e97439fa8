/** Run-time options: sizes of the caches, lazy refcounts, overlap checks, which discards are passed down. */
import { BlockError, invalidArgument, stepsWithContext, withContext } from '../../../block/error.ts';
import { Open } from '../../../block/flags.ts';
import { takeKeySecret } from '../../../block/options/key-secret.ts';
import { absorbOptions, type Options, takeSub } from '../../../block/options/options.ts';
import { isPowerOf2 } from '../../../util/align.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { markClean } from './header-write.ts';
import { MIN_CLUSTER_BITS } from '../format/header.ts';
import { Compatible, CryptMethod } from '../format/features.ts';
import type { Qcow2Image } from './image.ts';
import { Overlap, overlapTemplates } from './overlap.ts';
import { TableCache } from './table-cache.ts';

const spec = {
  'lazy-refcounts': 'bool',
  'pass-discard-request': 'bool',
  'pass-discard-snapshot': 'bool',
  'pass-discard-other': 'bool',
  'overlap-check': 'string',
  'overlap-check.template': 'string',
  'overlap-check.main-header': 'bool',
  'overlap-check.active-l1': 'bool',
  'overlap-check.active-l2': 'bool',
  'overlap-check.refcount-table': 'bool',
  'overlap-check.refcount-block': 'bool',
  'overlap-check.snapshot-table': 'bool',
  'overlap-check.inactive-l1': 'bool',
  'overlap-check.inactive-l2': 'bool',
  'overlap-check.bitmap-directory': 'bool',
  'cache-size': 'size',
  'l2-cache-size': 'size',
  'l2-cache-entry-size': 'size',
  'refcount-cache-size': 'size',
  'cache-clean-interval': 'number',
} as const;

const newerSpec = { ...spec, 'discard-no-unref': 'bool' } as const;

/** Every run-time option may change in a reopen. */
export const mutableOptions: readonly string[] = Object.keys(newerSpec);

const MIN_L2_SLOTS = 2;
/** Growing the refcount table holds this many blocks. */
const MIN_REFCOUNT_SLOTS = 4;
const DEFAULT_L2_CACHE_BYTES = 32 * 1024 * 1024;
const DEFAULT_ENTRY_BYTES = 4096;
const INT_MAX = 0x7fff_ffff;
const UINT_MAX = 0xffff_ffff;

type Given = ReturnType<typeof absorbOptions<typeof spec>> & { readonly 'discard-no-unref'?: boolean };

/** Options that were checked and wait to be put into effect. */
export interface PreparedOptions {
  readonly l2Cache: TableCache;
  readonly refcountCache: TableCache;
  readonly sliceEntries: number;
  readonly useLazyRefcounts: boolean;
  readonly keepsDiscarded: boolean;
  readonly overlapChecks: number;
  readonly discardPassthrough: readonly boolean[];
  readonly keySecret: string | null;
}

/**
 * Takes the run-time options out of `options`, and checks them. An image that is open has caches already, which are
 * flushed.
 */
export function* prepareOptions(
  image: Qcow2Image,
  options: Options,
  flags: number,
  state: 'opening' | 'open',
): Steps<PreparedOptions> {
  const encryption = takeSub(options, 'encrypt.');
  const hasNewer = image.node.context.compat.has('discardNoUnref');
  const given: Given = absorbOptions(options, hasNewer ? newerSpec : spec, image.node.context);
  const sizes = cacheSizes(image, given);
  const l2Slots = Math.max(MIN_L2_SLOTS, Math.floor(sizes.l2Bytes / sizes.entryBytes));
  if (l2Slots > INT_MAX) throw invalidArgument('L2 cache size too big');
  const refcountSlots = Math.max(MIN_REFCOUNT_SLOTS, Math.floor(sizes.refcountBytes / image.clusterBytes));
  if (refcountSlots > INT_MAX) throw invalidArgument('Refcount cache size too big');

  if (state === 'open') {
    yield withContext('Failed to flush the L2 table cache', () => image.l2Cache.flush());
    yield withContext('Failed to flush the refcount block cache', () => image.refcountCache.flush());
  }
  const { l2Cache, refcountCache } = makeCaches(image, l2Slots, sizes.entryBytes, refcountSlots);

  // That is all it does: QEMU cleans the caches by the guest's clock, which stands still here (observed with qemu-io
  // 7.2.22).
  if ((given['cache-clean-interval'] ?? 0) > UINT_MAX) throw invalidArgument('Cache clean interval too big');

  const useLazyRefcounts = given['lazy-refcounts'] ?? (image.compatible & Compatible.LAZY_REFCOUNTS) !== 0n;
  if (useLazyRefcounts && image.version < 3) {
    throw invalidArgument('Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level');
  }
  if (image.useLazyRefcounts && !useLazyRefcounts) {
    yield* stepsWithContext('Failed to disable lazy refcounts', markClean(image));
  }

  const keepsDiscarded = given['discard-no-unref'] ?? false;
  if (keepsDiscarded && image.version < 3) {
    throw invalidArgument('discard-no-unref is only supported since qcow2 version 3');
  }

  const overlapChecks = overlapBits(given);
  const keySecret = checkEncryption(image, encryption);
  return {
    l2Cache,
    refcountCache,
    sliceEntries: sizes.entryBytes / image.l2EntryBytes,
    useLazyRefcounts,
    keepsDiscarded,
    overlapChecks,
    keySecret,
    // By DiscardReason: never, always, request, snapshot, other.
    discardPassthrough: [
      false,
      true,
      given['pass-discard-request'] ?? (flags & Open.UNMAP) !== 0,
      given['pass-discard-snapshot'] ?? true,
      given['pass-discard-other'] ?? false,
    ],
  };
}

/** Puts prepared options and their caches into force. The caches before must have been written out. */
export function commitOptions(image: Qcow2Image, prepared: PreparedOptions): void {
  image.l2Cache = prepared.l2Cache;
  image.refcountCache = prepared.refcountCache;
  image.sliceEntries = prepared.sliceEntries;
  image.useLazyRefcounts = prepared.useLazyRefcounts;
  image.keepsDiscarded = prepared.keepsDiscarded;
  image.overlapChecks = prepared.overlapChecks;
  image.discardPassthrough = prepared.discardPassthrough;
  image.keySecret = prepared.keySecret;
}

/** The memory of tables is taken when they are used, but what is noted of each slot is taken now. */
function makeCaches(image: Qcow2Image, l2Slots: number, entryBytes: number, refcountSlots: number) {
  try {
    return {
      l2Cache: new TableCache(image, 'L2 table', l2Slots, entryBytes),
      refcountCache: new TableCache(image, 'refcount block', refcountSlots, image.clusterBytes),
    };
  } catch (error) {
    if (error instanceof RangeError) throw new BlockError(Errno.ENOMEM, 'Could not allocate metadata caches');
    throw error;
  }
}

function cacheSizes(image: Qcow2Image, given: Given): { l2Bytes: number; entryBytes: number; refcountBytes: number } {
  const { clusterBytes } = image;
  const combined = given['cache-size'];
  const l2Wanted = given['l2-cache-size'];
  const refcountWanted = given['refcount-cache-size'];
  /** The size that covers the whole disk. */
  const l2Max = image.alignUpToCluster(image.clustersFor(image.lengthBytes) * image.l2EntryBytes);
  let l2Bytes = Math.min(l2Max, l2Wanted ?? DEFAULT_L2_CACHE_BYTES);
  let refcountBytes = refcountWanted ?? 0;

  if (combined !== undefined) {
    if (l2Wanted !== undefined && refcountWanted !== undefined) {
      throw invalidArgument('cache-size, l2-cache-size and refcount-cache-size may not be set at the same time');
    }
    if (l2Wanted !== undefined && l2Wanted > combined) throw invalidArgument('l2-cache-size may not exceed cache-size');
    if (refcountBytes > combined) throw invalidArgument('refcount-cache-size may not exceed cache-size');

    const refcountMin = MIN_REFCOUNT_SLOTS * clusterBytes;
    if (l2Wanted !== undefined) {
      refcountBytes = combined - l2Bytes;
    } else if (refcountWanted !== undefined) {
      l2Bytes = combined - refcountBytes;
    } else if (combined >= l2Max + refcountMin) {
      l2Bytes = l2Max;
      refcountBytes = combined - l2Bytes;
    } else {
      refcountBytes = Math.min(combined, refcountMin);
      l2Bytes = combined - refcountBytes;
    }
  }

  // Where the cache does not cover the whole disk, small entries make loading and throwing out cheaper.
  const entryDefault = l2Bytes < l2Max ? Math.min(clusterBytes, DEFAULT_ENTRY_BYTES) : clusterBytes;
  const entryBytes = given['l2-cache-entry-size'] ?? entryDefault;
  const entryMin = 1 << MIN_CLUSTER_BITS;
  if (entryBytes < entryMin || entryBytes > clusterBytes || !isPowerOf2(entryBytes)) {
    throw invalidArgument(
      `L2 cache entry size must be a power of two between ${entryMin} and the cluster size (${clusterBytes})`,
    );
  }
  return { l2Bytes, entryBytes, refcountBytes };
}

const overlapSwitches = [
  ['overlap-check.main-header', Overlap.MAIN_HEADER],
  ['overlap-check.active-l1', Overlap.ACTIVE_L1],
  ['overlap-check.active-l2', Overlap.ACTIVE_L2],
  ['overlap-check.refcount-table', Overlap.REFCOUNT_TABLE],
  ['overlap-check.refcount-block', Overlap.REFCOUNT_BLOCK],
  ['overlap-check.snapshot-table', Overlap.SNAPSHOT_TABLE],
  ['overlap-check.inactive-l1', Overlap.INACTIVE_L1],
  ['overlap-check.inactive-l2', Overlap.INACTIVE_L2],
  ['overlap-check.bitmap-directory', Overlap.BITMAP_DIRECTORY],
] as const;

/** The template that `overlap-check` names, with single kinds switched on and off. */
function overlapBits(given: Given): number {
  const short = given['overlap-check'];
  const long = given['overlap-check.template'];
  if (short !== undefined && long !== undefined && short !== long) {
    throw invalidArgument(
      `Conflicting values for qcow2 options 'overlap-check' ('${short}') and 'overlap-check.template' ('${long}')`,
    );
  }
  const name = short ?? long ?? 'cached';
  const template = overlapTemplates.get(name);
  if (template === undefined) {
    throw invalidArgument(
      `Unsupported value '${name}' for qcow2 option 'overlap-check'. Allowed are any of the following: ` +
        'none, constant, cached, all',
    );
  }
  let bits = 0;
  for (const [key, bit] of overlapSwitches) if (given[key] ?? (template & bit) !== 0) bits |= bit;
  return bits;
}

/** Checks the options of the encryption, without their prefix. Returns the id of the secret, if it is named. */
function checkEncryption(image: Qcow2Image, options: Options): string | null {
  const format = options.getString('format');
  switch (image.cryptMethod) {
    case CryptMethod.NONE:
      if (format !== undefined) {
        throw invalidArgument(`No encryption in image header, but options specified format '${format}'`);
      }
      return null;
    case CryptMethod.AES:
    case CryptMethod.LUKS: {
      const own = image.cryptMethod === CryptMethod.AES ? 'aes' : 'luks';
      if (format !== undefined && format !== own) {
        throw invalidArgument(`Header reported '${own}' encryption format but options specify '${format}'`);
      }
      return takeKeySecret(options);
    }
    default:
      // As a signed number, as QEMU prints it.
      throw invalidArgument(`Unsupported encryption method ${image.cryptMethod | 0}`);
  }
}

/**
 * Fills up new options with old ones: a new template of overlap checks, or a new total size, counts for all of its
 * kind.
 */
export function joinOptions(options: Options, old: Options): void {
  if (options.has('overlap-check') || options.has('overlap-check.template')) {
    for (const key of ['overlap-check', 'overlap-check.template', ...overlapSwitches.map(([name]) => name)]) {
      // QEMU forgets this one, and keeps its old value.
      if (key !== 'overlap-check.bitmap-directory') old.delete(key);
    }
  }
  const hasNewTotal = options.has('cache-size');
  if (hasNewTotal) {
    old.delete('l2-cache-size');
    old.delete('refcount-cache-size');
  }
  options.join(old);
  const hasAnySize = ['cache-size', 'l2-cache-size', 'refcount-cache-size'].some((key) => options.has(key));
  if (hasAnySize && !hasNewTotal) options.delete('cache-size');
}
