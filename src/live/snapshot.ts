/** A snapshot of a session: what is open, its rules, its state, and the requests that wait. Plain values. */
import { debugNode, portOf, type SuspendedRequest } from '../block/debug/port.ts';
import type { RuleView, StateChange } from '../block/debug/rules.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { countInFlight, type RequestInFlight, requestsInFlight } from '../block/loop/in-flight.ts';
import type { EventLoop } from '../block/loop/loop.ts';

/**
 * Lists are cut at a limit; their counts are not. Times are nanoseconds of the loop's clock, as in the bus's records.
 */
export interface Snapshot {
  /** When it was taken. */
  readonly timeNs: number;
  /** From the top node down its primary children; empty if no image is open. */
  readonly nodes: readonly NodeView[];
  /** Name of the node that has rules and breakpoints; null if none has. */
  readonly debugNode: string | null;
  /** Null without a debug node. */
  readonly state: StateView | null;
  readonly ruleCount: number;
  readonly rules: readonly RuleView[];
  readonly suspendedCount: number;
  /** Newest first. A request that several breakpoints suspend is there once for each. */
  readonly suspended: readonly SuspendedRequest[];
  readonly requestCount: number;
  /** Requests in flight, oldest first; the suspended ones among them. */
  readonly requests: readonly RequestInFlight[];
}

/** A node of the graph. */
export interface NodeView {
  /** Its `node-name`, which the records carry. */
  readonly name: string;
  readonly driver: string;
  /** The file name, without its folders; empty if the node has none of its own. */
  readonly file: string;
}

/** The state of the rules, and how it came about. */
export interface StateView {
  readonly value: number;
  /** The change that led there; null if there was none. */
  readonly change: StateChange | null;
}

/** More rows than a screen has. */
const DEFAULT_LIMIT = 200;

/** Takes a snapshot of the image whose top node is `top` (null if none is open). Lists hold at most `limit` entries. */
export function takeSnapshot(loop: EventLoop, top: BlockNode | null, limit = DEFAULT_LIMIT): Snapshot {
  const debug = top === null ? null : debugNode(top);
  const port = debug === null ? undefined : portOf(debug);
  const suspended = port?.suspended() ?? [];
  return {
    timeNs: loop.clock.nowNs(),
    nodes: top === null ? [] : nodeViews(top),
    debugNode: debug?.nodeName ?? null,
    state: port === undefined ? null : { value: port.rules.state, change: port.rules.stateChanges.at(-1) ?? null },
    ruleCount: port?.rules.count ?? 0,
    rules: port?.rules.list(limit) ?? [],
    suspendedCount: suspended.length,
    suspended: suspended.slice(0, limit),
    requestCount: countInFlight(loop),
    requests: requestsInFlight(loop, limit),
  };
}

function nodeViews(top: BlockNode): NodeView[] {
  const nodes: NodeView[] = [];
  for (let node: BlockNode | null = top; node !== null; node = node.primaryChild?.node ?? null) {
    const { nodeName, driver, exactFilename } = node;
    nodes.push({ name: nodeName, driver: driver.formatName, file: exactFilename.replace(/^.*\//, '') });
  }
  return nodes;
}
