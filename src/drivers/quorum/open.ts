/** Opening a quorum: its settings, and its copies. */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Req, Role } from '../../block/flags.ts';
import type { BlockNode, ChildLink } from '../../block/graph/node.ts';
import { openChild } from '../../block/open/open.ts';
import { absorbOptions, type Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';

/** A quorum as it is opened. */
export interface QuorumState {
  readonly copies: ChildLink[];
  /** So many copies have to agree, or to be written. */
  readonly threshold: number;
  readonly readPattern: 'quorum' | 'fifo';
  /** Two copies, and a difference ends the program. */
  readonly isBlkverify: boolean;
  readonly rewritesCorrupted: boolean;
}

/** A node of this driver. */
export type QuorumNode = BlockNode<QuorumState>;

/** Opens all copies; sets `node.state`. EINVAL or ERANGE with QEMU's texts for settings that cannot be. */
export async function openQuorum(node: QuorumNode, options: Options): Promise<void> {
  const count = countChildren(options);
  if (count === null) throw invalidArgument('Option children is not a valid array');
  if (count < 1) throw invalidArgument('Number of provided children must be 1 or more');
  node.state = { copies: [], ...takeSettings(options, count) };
  for (let index = 0; index < count; index++) {
    node.state.copies.push(await openChild(node, options, `children.${index}`, Role.DATA));
  }
  node.supportedWriteFlags = Req.WRITE_UNCHANGED;
  const common = node.state.copies.reduce((flags, copy) => flags & copy.node.supportedZeroFlags, ~0);
  node.supportedZeroFlags = Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & common);
}

/** The length of the list of children; null if it has holes, or what is no index. */
function countChildren(options: Options): number | null {
  const indices = new Set<string>();
  for (const key of options.keys()) {
    if (key.startsWith('children.')) indices.add(key.slice('children.'.length).split('.')[0] ?? '');
  }
  for (let index = 0; index < indices.size; index++) if (!indices.has(String(index))) return null;
  return indices.size;
}

function takeSettings(options: Options, count: number): Omit<QuorumState, 'copies'> {
  const given = absorbOptions(options, {
    'vote-threshold': 'number64',
    blkverify: 'bool',
    'rewrite-corrupted': 'bool',
    'read-pattern': 'string',
  });
  // A number of 32 bits in QEMU.
  const threshold = Number(BigInt.asIntN(32, given['vote-threshold'] ?? 0n));
  if (threshold < 1) throw new BlockError(Errno.ERANGE, "Parameter 'vote-threshold' expects a value >= 1");
  if (threshold > count) throw new BlockError(Errno.ERANGE, 'threshold may not exceed children count');
  const readPattern = given['read-pattern'] ?? 'quorum';
  if (readPattern !== 'quorum' && readPattern !== 'fifo') {
    throw invalidArgument('Please set read-pattern as fifo or quorum');
  }
  const byVote = readPattern === 'quorum';
  const isBlkverify = byVote && given.blkverify === true;
  const rewritesCorrupted = byVote && given['rewrite-corrupted'] === true;
  if (isBlkverify && (count !== 2 || threshold !== 2)) {
    throw invalidArgument('blkverify=on can only be set if there are exactly two files and vote-threshold is 2');
  }
  if (isBlkverify && rewritesCorrupted) {
    throw invalidArgument('rewrite-corrupted=on cannot be used with blkverify=on');
  }
  return { threshold, readPattern, isBlkverify, rewritesCorrupted };
}
