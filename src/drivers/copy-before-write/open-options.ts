/** Opening a copy-before-write: its settings, its clusters, and which of them are to be copied. */
import type { Compat } from '../../block/compat.ts';
import type { DirtyBitmap } from '../../block/driver.ts';
import { BlockError, errorWithErrno, invalidArgument } from '../../block/error.ts';
import { MAX_ALIGNMENT } from '../../block/flags.ts';
import { backingBelow } from '../../block/graph/chain.ts';
import { findNode } from '../../block/graph/graph.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { checkSchema } from '../../block/options/option-schema.ts';
import { type Options, optionText, takeSub } from '../../block/options/options.ts';
import { driverInfo } from '../../block/request/info.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { parseExactSize64 } from '../../util/exact-size.ts';
import { parseUnsigned } from '../../util/parse-number.ts';
import { ClusterRuns } from './cluster-runs.ts';
import { nodeSchema } from './node-schema.ts';
import type { CopyBeforeWriteSettings } from './state.ts';

/** Clusters are not smaller, and this long if the target has none. */
const CLUSTER_BYTES = 65536;

/** A bitmap as the options name it. */
interface BitmapName {
  readonly node: string;
  readonly name: string;
}

/** The settings, and those that count while the node is opened. */
interface OpenSettings extends CopyBeforeWriteSettings {
  readonly bitmap: BitmapName | null;
  readonly minClusterBytes: bigint;
}

/** Takes the settings out of the options, and checks those of the children too. EINVAL with QEMU's texts. */
export function takeSettings(compat: Compat, options: Options): OpenSettings {
  const all = options.clone();
  all.set('driver', 'copy-before-write');
  checkSchema(all, nodeSchema, compat);
  const bitmap = takeSub(options, 'bitmap.');
  const onError = options.get('on-cbw-error');
  const timeout = options.get('cbw-timeout') ?? '0';
  const minCluster = options.get('min-cluster-size') ?? '0';
  for (const key of ['on-cbw-error', 'cbw-timeout', 'min-cluster-size']) options.delete(key);
  const seconds = parseUnsigned(optionText(timeout));
  assert(typeof seconds === 'bigint', 'the schema has the time-out as a number');
  const minClusterBytes = parseExactSize64(optionText(minCluster));
  assert(typeof minClusterBytes !== 'string', 'the schema has the cluster as a size');
  const timeoutNs = seconds * 1_000_000_000n;
  return {
    breaksSnapshot: onError === 'break-snapshot',
    // A number of 32 bits in QEMU 7.2: five seconds are 0.7.
    timeoutNs: Number(compat.has('wholeCopies') ? timeoutNs : BigInt.asUintN(32, timeoutNs)),
    minClusterBytes: BigInt(minClusterBytes),
    bitmap: bitmap.size === 0 ? null : { node: textOf(bitmap, 'node'), name: textOf(bitmap, 'name') },
  };
}

function textOf(options: Options, key: string): string {
  const value = options.get(key) ?? null;
  assert(value !== null, 'the schema has a text here');
  return optionText(value);
}

/** The bitmap that says what is to be copied. EINVAL if there is none of that name. */
export function findBitmap({ context }: BlockNode, { node, name }: BitmapName): DirtyBitmap {
  const owner = findNode(context, node);
  if (owner === null) throw invalidArgument(`Node '${node}' not found`);
  const bitmap = owner.driver.dirtyBitmap?.(owner, name) ?? null;
  if (bitmap === null) throw invalidArgument(`Dirty bitmap '${name}' not found`);
  return bitmap;
}

/** The unit of copies: at least that of the target, which must not have to fill up a cluster of its own. */
export function clusterBytesOf(target: BlockNode, minClusterBytes: bigint): number {
  checkMinCluster(minClusterBytes);
  const leastBytes = Math.max(CLUSTER_BYTES, Number(minClusterBytes));
  const isOverlay = backingBelow(target) !== null;
  try {
    return Math.max(leastBytes, driverInfo(target).clusterBytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (isOverlay) return leastBytes;
    if (error.errno === Errno.ENOTSUP) {
      const hasMinimum = target.context.compat.has('minClusterSize');
      const [initial, limit] = hasMinimum ? ['(default)', 'value'] : ['default', 'default'];
      target.context.report(
        "warning: The target block device doesn't provide information about the block size and it doesn't have a " +
          `backing file. The ${initial} block size of ${leastBytes} bytes is used. If the actual block size of the ` +
          `target exceeds this ${limit}, the backup may be unusable`,
      );
      return leastBytes;
    }
    throw errorWithErrno(
      error.errno,
      "Couldn't determine the cluster size of the target image, which has no backing file",
    );
  }
}

function checkMinCluster(bytes: bigint): void {
  const most = 2n ** 63n - 1n;
  if (bytes > most) throw invalidArgument(`min-cluster-size too large: ${bytes} > ${most}`);
  if ((bytes & (bytes - 1n)) !== 0n) throw invalidArgument('min-cluster-size needs to be a power of 2');
  // From 2^32 on QEMU aborts; a cluster is copied in one piece.
  if (bytes > MAX_ALIGNMENT) throw invalidArgument(`min-cluster-size beyond ${MAX_ALIGNMENT}`);
}

/** The clusters of the disk, or those of a bitmap that belongs to it. */
export function clustersToCopy(
  lengthBytes: number,
  clusterBytes: number,
  bitmap: DirtyBitmap | null,
  name: string,
): ClusterRuns {
  const clusters = new ClusterRuns();
  if (bitmap === null) {
    clusters.add(0, Math.ceil(lengthBytes / clusterBytes));
    return clusters;
  }
  const refuse = (why: string): never => {
    throw invalidArgument(`Failed to merge bitmap '${name}' to internal copy-bitmap: ${why}`);
  };
  if (bitmap.runs === null) {
    return refuse(
      `Bitmap '${name}' is inconsistent and cannot be used\n` +
        'Try block-dirty-bitmap-remove to delete this bitmap from disk',
    );
  }
  if (bitmap.lengthBytes !== lengthBytes) {
    return refuse(
      `Bitmaps are of different sizes (destination size is ${lengthBytes}, source size is ${bitmap.lengthBytes}) ` +
        "and can't be merged",
    );
  }
  const clustersPerGranule = bitmap.granuleBytes / clusterBytes;
  const count = Math.ceil(lengthBytes / clusterBytes);
  for (const [start, end] of bitmap.runs()) {
    clusters.add(Math.floor(start * clustersPerGranule), Math.min(count, Math.ceil(end * clustersPerGranule)));
  }
  return clusters;
}
