/** The state of a blkdebug node: its rules, the requests that it suspends, and what it overrides. */
import type { BlockNode } from '../../block/graph/node.ts';
import type { LimitOverrides } from './limits.ts';
import type { PermissionOverrides } from './permissions.ts';
import type { RuleTable } from './rule-table.ts';
import type { EventContext, RequestContext } from './rules/condition.ts';
import type { Stops } from './stops.ts';
import type { SuspendedRequests } from './suspended-requests.ts';

/** The state of a node. */
export interface BlkdebugState {
  /** Path of the config file that the rules came from; null if there is none. */
  readonly configPath: string | null;
  readonly rules: RuleTable;
  /** The context in which the conditions of rules are evaluated. */
  readonly context: EventContext;
  readonly suspended: SuspendedRequests;
  readonly stops: Stops;
  /** False once the image is about to be closed: `delay-ns` lets nothing wait then. */
  hasDelays: boolean;
  readonly permissions: PermissionOverrides;
  /** Known once the child is open. */
  limits: LimitOverrides;
}

/** A node of this driver. */
export type BlkdebugNode = BlockNode<BlkdebugState>;

/** The surroundings of the events of one node, as they are whenever they are read. */
export class NodeContext implements EventContext {
  readonly #node: BlockNode;

  constructor(node: BlockNode) {
    this.#node = node;
  }

  get request(): RequestContext | null {
    return this.#node.loop.current;
  }

  isBelow(name: string): boolean {
    return isBelow(this.#node, name);
  }
}

function isBelow(node: BlockNode, name: string): boolean {
  return node.parents.some(({ parent: { node: above } }) => {
    if (above === null) return false;
    return above.nodeName === name || above.driver.formatName === name || isBelow(above, name);
  });
}
