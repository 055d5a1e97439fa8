/** A blkdebug node over an image in memory, put together by hand, and what a test wants to see of it. */
import { refreshLimits } from '../../../src/block/graph/limits.ts';
import type { Pending } from '../../../src/util/steps.ts';
import { BlockNode, type ChildLink } from '../../../src/block/graph/node.ts';
import { Open, Perm, Role } from '../../../src/block/flags.ts';
import type { Coroutine, EventLoop } from '../../../src/block/loop/loop.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { preadv } from '../../../src/block/request/read.ts';
import { RequestTracker } from '../../../src/block/request/serialise.ts';
import { pwritev } from '../../../src/block/request/write.ts';
import { type DebugPort, debugPort } from '../../../src/block/debug/port.ts';
import type { TraceDetail } from '../../../src/block/events/trace.ts';
import { BlockError } from '../../../src/block/error.ts';
import { announceRuleChange } from '../../../src/drivers/blkdebug/announce.ts';
import { blkdebug } from '../../../src/drivers/blkdebug/driver.ts';
import { parseLimits } from '../../../src/drivers/blkdebug/limits.ts';
import { takePermissions, takeRules, takeSettings } from '../../../src/drivers/blkdebug/options.ts';
import { RuleTable } from '../../../src/drivers/blkdebug/rule-table.ts';
import { type BlkdebugNode, NodeContext } from '../../../src/drivers/blkdebug/state.ts';
import { Stops } from '../../../src/drivers/blkdebug/stops.ts';
import { SuspendedRequests } from '../../../src/drivers/blkdebug/suspended-requests.ts';
import { memoryNode, outcome } from '../../helpers/memory-node.ts';

export interface DebugNode {
  readonly node: BlkdebugNode;
  readonly port: DebugPort;
  readonly child: ChildLink;
  readonly loop: EventLoop;
  /** The lines that the driver printed. */
  readonly said: string[];
  /** Calls that came through to the image. */
  readonly calls: string[];
  /** Requests that ended in the background: "write: ok", "write: 5". */
  readonly ended: string[];
  /** Runs a request and returns its errno, 0 for success. */
  readonly errnoOf: (body: () => Pending) => Promise<number>;
  readonly read: (offset: number, bytes?: number) => Promise<number>;
  readonly write: (offset: number, bytes?: number) => Promise<number>;
  /** Starts a write in the background. */
  readonly startWrite: (offset: number, bytes?: number) => Promise<Coroutine>;
  readonly traced: TraceDetail['kind'][];
}

export function debugNode(given: Record<string, OptionValue> = {}, imageBytes = 1 << 20): DebugNode {
  const image = memoryNode(imageBytes);
  const { loop, said } = image;
  const ended: string[] = [];
  const traced: TraceDetail['kind'][] = [];
  const { context } = image.node;
  const options = new Options(Object.entries(given));
  const node: BlkdebugNode = new BlockNode(blkdebug, context, 'debug0', Open.READ_WRITE | Open.UNMAP, options);
  const link = { role: Role.FILTERED | Role.PRIMARY, perm: Perm.ALL, shared: Perm.ALL };
  node.file = { name: 'image', parent: { description: 'debug0', node }, node: image.node, ...link };
  node.children.push(node.file);
  node.requests = new RequestTracker(node);
  node.totalSectors = imageBytes / 512;
  const settings = takeSettings(options, context);
  const rules = new RuleTable((change, rule) => announceRuleChange(node, change, rule));
  for (const rule of takeRules(settings.config ?? null, options)) rules.add(rule);
  node.state = {
    configPath: settings.config ?? null,
    rules,
    context: new NodeContext(node),
    suspended: new SuspendedRequests(),
    stops: new Stops(),
    hasDelays: true,
    permissions: takePermissions(options),
    limits: parseLimits(settings, 1),
  };
  refreshLimits(node);
  const child: ChildLink = { name: 'root', parent: { description: 'test', node: null }, node, ...link };

  const errnoOf = async (body: () => Pending): Promise<number> => {
    const error = await outcome(loop, body);
    if (error !== undefined && !(error instanceof BlockError)) throw error;
    return error?.errno ?? 0;
  };
  return {
    node,
    port: debugPort(node),
    child,
    loop,
    said,
    ended,
    traced,
    calls: image.state.calls,
    errnoOf,
    read: (offset, bytes = 512) => errnoOf(() => preadv(child, offset, Buffer.alloc(bytes), 0)),
    write: (offset, bytes = 512) => errnoOf(() => pwritev(child, offset, Buffer.alloc(bytes, 1), 0)),
    startWrite: (offset, bytes = 512) =>
      loop.spawn(
        { operation: 'write', offset, bytes },
        () => pwritev(child, offset, Buffer.alloc(bytes, 1), 0),
        (error) => {
          if (error !== undefined && !(error instanceof BlockError)) throw error;
          ended.push(`write ${offset}: ${error === undefined ? 'ok' : error.errno}`);
        },
      ),
  };
}

/** Runs what is due, without commands. */
export async function settle(loop: EventLoop): Promise<void> {
  while (await loop.poll(false));
}
