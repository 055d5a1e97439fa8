/** The state of a copy-before-write node: its copies, and the reads of its snapshot. */
import type { BlockNode, ChildLink } from '../../block/graph/node.ts';
import type { CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import type { Coroutine } from '../../block/loop/loop.ts';
import type { BlockCopy } from './block-copy.ts';
import type { ClusterRuns } from './cluster-runs.ts';

/** A node of this driver. */
export type CopyBeforeWriteNode = BlockNode<CopyBeforeWriteState>;

/** A range, in bytes, that is read from the disk for the snapshot: it must not be written meanwhile. */
export interface FrozenRead {
  readonly offset: number;
  readonly bytes: number;
  readonly coroutine: Coroutine | null;
  readonly ended: CoroutineQueue;
}

/** The settings of a node. */
export interface CopyBeforeWriteSettings {
  /** A copy that fails breaks the snapshot, not the write that it comes before. */
  readonly breaksSnapshot: boolean;
  /** 0: a copy takes as long as it takes. */
  readonly timeoutNs: number;
}

/** The state of a node; sets are of clusters. */
export interface CopyBeforeWriteState extends CopyBeforeWriteSettings {
  readonly target: ChildLink;
  readonly copy: BlockCopy;
  /** The clusters of the snapshot that may be read. */
  readonly readable: ClusterRuns;
  /** The clusters that are on the target. */
  readonly done: ClusterRuns;
  readonly frozen: Set<FrozenRead>;
  /** The errno that broke the snapshot; 0 while it is whole. */
  snapshotErrno: number;
  /** Copies under way, also those that took too long for the write that they came before. */
  copying: number;
  readonly idle: CoroutineQueue;
}
