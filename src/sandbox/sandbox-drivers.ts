/** The drivers of a sandbox: files are disks in memory, devices and peers are refused, nodes with rules have hooks. */
import type { Driver, RegisteredDriver } from '../block/driver.ts';
import { BlockError } from '../block/error.ts';
import type { DebugEvent } from '../block/events/events.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { Errno } from '../util/errno.ts';
import { type Pending, run } from '../util/steps.ts';
import { type DiskHost, makeDiskDriver } from './disks/disk-driver.ts';

/** Protocol drivers that a sandbox may have. Others reach for devices or peers, which have no copy in memory. */
const innerProtocols: ReadonlySet<string> = new Set(['file', 'blkdebug', 'null-co', 'null-aio']);

/** The requests that a node with rules checks them for. */
export type NodeRequest = 'read' | 'write' | 'write of zeroes' | 'discard' | 'flush' | 'block status';

/** Asked for each node with rules, before its rules are. */
export interface NodeHooks {
  /** A node has been opened; its own open may have fired events already. */
  readonly opened?: (node: BlockNode) => void;
  /**
   * The node is asked for something; called before its rules are, and with null when they have been. Rules of the
   * request act in between.
   */
  readonly asked?: (node: BlockNode, what: NodeRequest | null) => void;
  /** The driver of any node begins or ends a look at the status of a range, for the running request. */
  readonly status?: (node: BlockNode, isBegin: boolean) => void;
  /** An event fires. A promise makes the request wait; rules added now count for this event. */
  readonly event?: (node: BlockNode, event: DebugEvent) => Pending;
}

/**
 * The drivers of a table over the disks of `host`. `refusal` says why a driver of devices or peers cannot be had; its
 * name is put behind it.
 */
export function sandboxDrivers(
  drivers: readonly RegisteredDriver[],
  host: DiskHost,
  refusal: string,
  hooks: NodeHooks = {},
): RegisteredDriver[] {
  const disk = makeDiskDriver(host);
  return drivers.map((driver) => {
    if (driver.formatName === disk.formatName) return disk as RegisteredDriver;
    if (driver.protocolName !== undefined && !innerProtocols.has(driver.formatName)) return refused(driver, refusal);
    if ('load' in driver) return { ...driver, load: async () => hooked(await driver.load(), hooks) };
    return hooked(driver, hooks);
  });
}

/** A driver in name only. */
function refused({ formatName, protocolName = formatName }: RegisteredDriver, refusal: string): Driver {
  return {
    formatName,
    protocolName,
    async open() {
      throw new BlockError(Errno.ENOTSUP, `${refusal} '${formatName}'`);
    },
  };
}

/** The driver with its events, openings and requests told to the hooks; itself if its nodes have no rules. */
function hooked(driver: Driver, hooks: NodeHooks): Driver {
  const { opened, event, asked, status } = hooks;
  const watched = status === undefined ? driver : tellingStatus(driver, status);
  if (driver.debugPort === undefined) return watched;
  const told: Driver = {
    ...watched,
    async open(node, options, flags) {
      await driver.open(node, options, flags);
      opened?.(node);
    },
    debugEvent(node, fired) {
      const pending = event?.(node, fired);
      if (pending === undefined) return driver.debugEvent?.(node, fired);
      return pending.then(() => driver.debugEvent?.(node, fired));
    },
  };
  return asked === undefined ? told : { ...told, ...tellingMethods(watched, asked) };
}

/** The driver with its looks at a status told. */
function tellingStatus(driver: Driver, status: NonNullable<NodeHooks['status']>): Driver {
  const blockStatus = Reflect.get(driver, 'blockStatus') as Driver['blockStatus'];
  if (blockStatus === undefined) return driver;
  return {
    ...driver,
    blockStatus(node, ...query) {
      return run(
        (function* () {
          status(node, true);
          try {
            return yield blockStatus.call(driver, node, ...query);
          } finally {
            status(node, false);
          }
        })(),
      );
    },
  };
}

const requestMethods: readonly (readonly [method: keyof Driver, what: NodeRequest])[] = [
  ['preadv', 'read'],
  ['pwritev', 'write'],
  ['pwriteZeroes', 'write of zeroes'],
  ['pdiscard', 'discard'],
  ['flushToDisk', 'flush'],
  ['blockStatus', 'block status'],
];

type Method = (node: BlockNode, ...rest: unknown[]) => unknown;

/** Its methods for requests, which tell `asked` of their calls. Rules are checked before they first wait. */
function tellingMethods(driver: Driver, asked: NonNullable<NodeHooks['asked']>): Partial<Driver> {
  const methods: Record<string, Method> = {};
  for (const [name, what] of requestMethods) {
    const method = Reflect.get(driver, name) as Method | undefined;
    if (method === undefined) continue;
    methods[name] = (node, ...rest) => {
      asked(node, what);
      try {
        return method.call(driver, node, ...rest);
      } finally {
        asked(node, null);
      }
    };
  }
  return methods;
}
