/** The current picture of a session: what is open, its rules, its state, and the requests that wait. Plain values. */
import { debugNode, suspendedRequests } from '../block/debug/debug.ts';
import { describeWait } from '../block/loop/describe-wait.ts';
import type { Coroutine, EventLoop } from '../block/loop/loop.ts';
import type { BlockNode } from '../block/graph/node.ts';

/** Lists are cut at a limit; their counts are not. Times are nanoseconds of the loop's clock, as in the bus's records. */
export interface Picture {
  /** When it was taken. */
  readonly timeNs: number;
  /** From the top node down its primary children; empty if no image is open. */
  readonly nodes: readonly NodePicture[];
  /** Name of the node that has rules and breakpoints; null if none has. */
  readonly debugNode: string | null;
  /** Null without a debug node. */
  readonly state: StatePicture | null;
  readonly ruleCount: number;
  readonly rules: readonly RulePicture[];
  readonly suspendedCount: number;
  /** Newest first. A request that several breakpoints hold is there once for each. */
  readonly suspended: readonly SuspendedPicture[];
  readonly requestCount: number;
  /** Requests in flight, oldest first; the suspended ones among them. */
  readonly requests: readonly RequestPicture[];
}

/** A node of the graph. */
export interface NodePicture {
  /** Its `node-name`, which the records carry. */
  readonly name: string;
  readonly driver: string;
  /** The file name, without its folders; empty if the node has none of its own. */
  readonly file: string;
}

/** The state of the rules, and how it came about. */
export interface StatePicture {
  readonly value: number;
  /** The change that led there; null if there was none. */
  readonly change: {
    readonly from: number;
    readonly to: number;
    readonly rule: number;
    readonly timeNs: number;
  } | null;
}

/** A rule with its hits. */
export interface RulePicture {
  /** Never changes and is never used again. */
  readonly number: number;
  readonly action: 'inject-error' | 'set-state' | 'suspend';
  readonly event: string;
  /** What the rule does, in a word or two: "EIO", "1→2", "A". */
  readonly effect: string;
  /** Its conditions: "state=2 sector=8 once=on"; empty if it has none. */
  readonly conditions: string;
  readonly status: 'armed' | 'spent' | 'disabled';
  /** How often its event fired with its conditions met. */
  readonly hits: number;
  /** Why it did not act when it was looked at last; null if it did, or was never looked at. */
  readonly lastSkip: string | null;
}

/** A request at a breakpoint; times in nanoseconds of the clock of the bus. */
export interface SuspendedPicture {
  readonly tag: string;
  readonly request: number;
  readonly operation: string;
  readonly offset: number;
  readonly bytes: number;
  readonly event: string;
  readonly sinceNs: number;
}

/** A request in flight; times in nanoseconds of the clock of the bus. */
export interface RequestPicture {
  readonly request: number;
  readonly operation: string;
  /** Null for requests without a range (flush). */
  readonly offset: number | null;
  readonly bytes: number | null;
  /** What it waits for: "breakpoint A", "request 4", "lock l2", "timer". */
  readonly waitsFor: string;
  readonly startedNs: number;
  /** Since when it waits. */
  readonly sinceNs: number;
}

/** The rules and the state of a debug node, as its driver tells them. */
export interface RulesView {
  readonly state: StatePicture;
  readonly ruleCount: number;
  /** The rules in the order in which they were made, at most `limit`. */
  rules(limit: number): readonly RulePicture[];
}

/** Where a picture comes from. */
export interface PictureSource {
  readonly loop: EventLoop;
  /** The top node of the open image; null if there is none. */
  top(): BlockNode | null;
  /** The rules of a node that has breakpoints. Null if its driver tells nothing of them. */
  rulesOf(node: BlockNode): RulesView | null;
}

/** More rows than anybody looks at. */
const DEFAULT_LIMIT = 200;

/** Takes the picture of now. Lists hold at most `limit` entries. */
export function takePicture(source: PictureSource, limit = DEFAULT_LIMIT): Picture {
  const { loop } = source;
  const top = source.top();
  const debug = top === null ? null : debugNode(top);
  const view = debug === null ? null : source.rulesOf(debug);
  const suspended = top === null ? [] : suspendedRequests(top);
  // The command that runs is what looks at us, not something in flight.
  const requestCount = loop.alive.size - (loop.current !== null && !loop.current.done ? 1 : 0);
  return {
    timeNs: loop.clock.nowNs(),
    nodes: top === null ? [] : nodePictures(top),
    debugNode: debug?.nodeName ?? null,
    state: view?.state ?? null,
    ruleCount: view?.ruleCount ?? 0,
    rules: view?.rules(limit) ?? [],
    suspendedCount: suspended.length,
    suspended: suspended.slice(0, limit).map(({ tag, requestId, operation, offset, bytes, event, sinceNs }) => ({
      tag,
      request: requestId,
      operation,
      offset,
      bytes,
      event,
      sinceNs,
    })),
    requestCount,
    requests: requestPictures(loop, limit),
  };
}

function nodePictures(top: BlockNode): NodePicture[] {
  const nodes: NodePicture[] = [];
  for (let node: BlockNode | null = top; node !== null; node = node.primaryChild?.node ?? null) {
    const { nodeName, driver, exactFilename } = node;
    nodes.push({ name: nodeName, driver: driver.formatName, file: exactFilename.replace(/^.*\//, '') });
  }
  return nodes;
}

function requestPictures(loop: EventLoop, limit: number): RequestPicture[] {
  const requests: RequestPicture[] = [];
  for (const coroutine of loop.alive) {
    if (requests.length >= limit) break;
    if (coroutine !== loop.current) requests.push(requestPicture(coroutine));
  }
  return requests;
}

function requestPicture(coroutine: Coroutine): RequestPicture {
  const { id, operation, offset = null, bytes = null, waitsFor, startedNs, waitsSinceNs } = coroutine;
  return {
    request: id,
    operation,
    offset,
    bytes,
    waitsFor: describeWait(waitsFor),
    startedNs,
    sinceNs: waitsSinceNs === 0 ? startedNs : waitsSinceNs,
  };
}
