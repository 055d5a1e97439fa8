/**
 * A block node over a buffer in memory, for tests: it notes every call of the driver and can be made to wait or fail.
 */
import { setTransferBytes } from '../../src/block/graph/limits.ts';
import { GraphContext } from '../../src/block/graph/context.ts';
import { BlockNode, type ChildLink, noLimits, type Limits } from '../../src/block/graph/node.ts';
import type { Driver } from '../../src/block/driver.ts';
import type { Pending } from '../../src/util/steps.ts';
import { BlockError } from '../../src/block/error.ts';
import { type DebugEvent, eventName } from '../../src/block/events/events.ts';
import { Open, Perm, Role } from '../../src/block/flags.ts';
import { EventLoop } from '../../src/block/loop/loop.ts';
import { Options } from '../../src/block/options/options.ts';
import { RequestTracker } from '../../src/block/request/serialise.ts';
import { DriverTable } from '../../src/block/open/driver-table.ts';

export interface MemoryState {
  readonly bytes: Buffer;
  /** Every call: "read 512@0", "event pwritev", … */
  readonly calls: string[];
  /** The errno with which the next call of this name fails. */
  readonly failures: Map<string, number>;
  /** Calls of this name wait until the test resumes them. */
  readonly gates: Set<string>;
}

async function step(node: BlockNode<MemoryState>, name: string, text: string): Promise<void> {
  node.state.calls.push(text);
  if (node.state.gates.has(name)) await node.loop.park({ kind: 'breakpoint', tag: name, event: name });
  const errno = node.state.failures.get(name);
  if (errno !== undefined) {
    node.state.failures.delete(name);
    throw new BlockError(errno);
  }
}

const memoryDriver: Driver<MemoryState> = {
  formatName: 'memory',
  protocolName: 'memory',
  open: async () => {},
  async preadv(node, offset, data) {
    await step(node, 'read', `read ${data.length}@${offset}`);
    node.state.bytes.copy(data, 0, offset, offset + data.length);
  },
  async pwritev(node, offset, data, flags) {
    await step(node, 'write', `write ${data.length}@${offset}${flags === 0 ? '' : ` flags=${flags}`}`);
    data.copy(node.state.bytes, offset);
  },
  async pwriteZeroes(node, offset, bytes, flags) {
    await step(node, 'zero', `zero ${bytes}@${offset}${flags === 0 ? '' : ` flags=${flags}`}`);
    node.state.bytes.fill(0, offset, offset + bytes);
  },
  async pdiscard(node, offset, bytes) {
    await step(node, 'discard', `discard ${bytes}@${offset}`);
  },
  async flushToOs(node) {
    await step(node, 'flush_to_os', 'flush_to_os');
  },
  async flushToDisk(node) {
    await step(node, 'flush', 'flush');
  },
  debugEvent(node: BlockNode<MemoryState>, event: DebugEvent) {
    const name = eventName(event);
    if (!node.state.gates.has(name)) {
      node.state.calls.push(`event ${name}`);
      return undefined;
    }
    return step(node, name, `event ${name}`);
  },
};

export interface MemoryNode {
  readonly loop: EventLoop;
  readonly node: BlockNode<MemoryState>;
  readonly child: ChildLink;
  readonly state: MemoryState;
  /** Messages of drivers for standard output. */
  readonly said: string[];
}

/** A read-write node of `bytes` bytes, with these limits, methods taken away or replaced by `overrides`. */
export function memoryNode(
  bytes: number,
  limits: Partial<Limits> = {},
  overrides: Partial<Driver<MemoryState>> = {},
): MemoryNode {
  const loop = new EventLoop();
  const said: string[] = [];
  const context = new GraphContext({ loop, drivers: new DriverTable([]), stdout: (line) => said.push(line) });
  const driver = { ...memoryDriver, ...overrides };
  const node = new BlockNode<MemoryState>(driver, context, 'memory0', Open.READ_WRITE | Open.UNMAP, new Options());
  const state: MemoryState = { bytes: Buffer.alloc(bytes), calls: [], failures: new Map(), gates: new Set() };
  node.state = state;
  node.requests = new RequestTracker(node);
  node.totalSectors = bytes / 512;
  node.limits = { ...noLimits(), ...limits };
  setTransferBytes(node.limits);
  const child: ChildLink = {
    name: 'root',
    parent: { description: 'test', node: null },
    node,
    role: Role.IMAGE,
    perm: Perm.ALL,
    shared: Perm.ALL,
  };
  return { loop, node, child, state, said };
}

/** Runs a request to its end and returns its error, or undefined. */
export async function outcome(loop: EventLoop, body: () => Pending): Promise<unknown> {
  let caught: unknown;
  const ended = await loop.run('test', async () => {
    try {
      await body();
    } catch (error) {
      caught = error;
    }
  });
  if (!ended) throw new Error('the request is stuck');
  return caught;
}
