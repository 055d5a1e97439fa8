/** What a blkdebug node keeps. */
import type { BlockNode } from '../../block/graph/node.ts';
import type { LimitOverrides } from './limits.ts';
import type { PermissionOverrides } from './permissions.ts';
import type { RuleTable } from './rule-table.ts';
import type { SuspendedRequests } from './suspend.ts';

/** The state of a node: its rules, who waits, and what it overrides. */
export interface BlkdebugState {
  /** Path of the config file that the rules came from; null if there is none. */
  readonly configPath: string | null;
  readonly rules: RuleTable;
  readonly suspended: SuspendedRequests;
  readonly permissions: PermissionOverrides;
  /** Known once the child is open. */
  limits: LimitOverrides;
}

/** A node of this driver. */
export type BlkdebugNode = BlockNode<BlkdebugState>;
