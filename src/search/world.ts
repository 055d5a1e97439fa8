/**
 * The world of a case: everything that a scenario can touch, in memory and under control.
 *
 * A world is made once for a scenario and runs any number of cases, one at a time. Each case begins with the user's
 * files as they are on the host; they are opened read-only and never written. Time jumps, nothing waits for the host,
 * and chance has a seed: a case is a function of the scenario and of its hooks, on every machine.
 *
 * It knows no driver: the table comes from outside. Its driver `file` takes the place of the one there, and nodes with
 * rules (blkdebug) are asked by way of their debug ports.
 */
import { portOf } from '../block/debug/port.ts';
import type { Driver, RegisteredDriver } from '../block/driver.ts';
import { BlockError } from '../block/error.ts';
import type { DebugEvent } from '../block/events/events.ts';
import type { BlockNode } from '../block/graph/node.ts';
import type { UserObject } from '../block/user-object.ts';
import type { CommandTable } from '../shell/command.ts';
import type { Output } from '../shell/output/output.ts';
import { type OpenRequest, Session } from '../shell/session.ts';
import { Errno } from '../util/errno.ts';
import type { Pending } from '../util/steps.ts';
import { JumpingClock } from './world/jumping-clock.ts';
import { type DiskHost, makeDiskDriver } from './world/disk-driver.ts';
import { Disks, FileSet } from './world/disks.ts';
import { PagePool } from './world/memory-disk.ts';
import { ReadOnlyFile } from './world/read-only-file.ts';
import { sandboxTable } from './world/sandbox-table.ts';
import { SessionOutput, type Transcript } from './world/session-output.ts';
import { type UserWatcher, WatchedBackend } from './world/watched-backend.ts';

/** Of all disks of a world together, unless the world is given another limit. */
const MEMORY_MAX_BYTES = 1 << 30;

/** Protocol drivers that a case may have. Others reach for devices or peers, which no case can have for itself. */
const innerProtocols: ReadonlySet<string> = new Set(['file', 'blkdebug', 'null-co', 'null-aio']);

/** An image and what is done with it, in qemu-io's words. */
export interface Scenario {
  /** The image to open, anew for each case: opening uses the options up. Null if the lines open it themselves. */
  readonly image: () => OpenRequest | null;
  /** The lines of the command file. */
  readonly lines: readonly string[];
  /** As the command line has it: see `SessionOptions`. */
  readonly objects: ReadonlyMap<string, UserObject>;
  readonly misalign: boolean;
  readonly imageOptions: boolean;
  /** The script stops at its first error. */
  readonly bail: boolean;
}

/** The parts of the program that a world is made of. */
export interface WorldParts {
  /** The drivers; `file` and those of devices are replaced. */
  readonly drivers: readonly RegisteredDriver[];
  readonly commands: CommandTable;
  readonly memoryMaxBytes?: number;
}

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
  /** An event fires. A promise makes the request wait; rules added now count for this event. */
  readonly event?: (node: BlockNode, event: DebugEvent) => Pending;
}

/** A session in a world. */
export interface WorldSession {
  readonly session: Session;
  readonly transcript: Transcript;
}

/** The parts of a session that a case decides on. */
export interface SessionSettings {
  readonly host: DiskHost;
  readonly hooks: NodeHooks;
  readonly watcher: UserWatcher | null;
  /** Waits before a request of the user begins. */
  readonly beginning?: () => Pending;
  /** Is told of what is written to standard error. */
  readonly said?: (text: string) => void;
  /** Where its output is shown as well. */
  readonly echo?: Output | undefined;
}

/** Files, memory and drivers for the cases of one scenario. */
export class World {
  readonly scenario: Scenario;
  readonly #parts: WorldParts;
  readonly #files = new FileSet((path) => new ReadOnlyFile(path));
  readonly #pool: PagePool;
  readonly #commands: CommandTable;

  constructor(scenario: Scenario, parts: WorldParts) {
    this.scenario = scenario;
    this.#parts = parts;
    this.#pool = new PagePool(parts.memoryMaxBytes ?? MEMORY_MAX_BYTES);
    this.#commands = sandboxTable(parts.commands);
  }

  /** Disks for a case, none open yet. They hold memory until they are released. */
  disks(keepsLog: boolean): Disks {
    return new Disks(this.#files, this.#pool, keepsLog);
  }

  /** A session over the disks of `host`, with no image open. */
  session({ host, hooks, watcher, beginning, said, echo }: SessionSettings): WorldSession {
    const { objects, misalign, imageOptions, bail } = this.scenario;
    const output = new SessionOutput(said, echo);
    const session = new Session(
      {
        output,
        drivers: this.#driversFor(host, hooks),
        objects,
        clock: new JumpingClock(),
        misalign,
        imageOptions,
        ...(watcher === null ? {} : { makeBackend: (root) => new WatchedBackend(root, watcher, beginning) }),
      },
      this.#commands,
    );
    session.bail = bail;
    return { session, transcript: output.transcript };
  }

  /** Closes the user's files. */
  close(): void {
    this.#files.close();
  }

  #driversFor(host: DiskHost, hooks: NodeHooks): RegisteredDriver[] {
    const disk = makeDiskDriver(host);
    return this.#parts.drivers.map((driver) => {
      if (driver.formatName === disk.formatName) return disk as RegisteredDriver;
      if (driver.protocolName !== undefined && !innerProtocols.has(driver.formatName)) return refused(driver);
      if ('load' in driver) return { ...driver, load: async () => hooked(await driver.load(), hooks) };
      return hooked(driver, hooks);
    });
  }
}

/** A driver in name only. */
function refused({ formatName, protocolName = formatName }: RegisteredDriver): Driver {
  return {
    formatName,
    protocolName,
    async open() {
      throw new BlockError(Errno.ENOTSUP, `A search takes images in files, and none of the driver '${formatName}'`);
    },
  };
}

/** The driver with its events, openings and requests told to the hooks; itself if its nodes have no rules. */
function hooked(driver: Driver, { opened, event, asked }: NodeHooks): Driver {
  if (driver.debugPort === undefined) return driver;
  const told: Driver = {
    ...driver,
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
  return asked === undefined ? told : { ...told, ...tellingMethods(driver, asked) };
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

/** For `NodeHooks.opened`: takes away all rules, so that an image can be looked at as it is. */
export function removeRules(node: BlockNode): void {
  const rules = portOf(node)?.rules;
  rules?.remove(rules.list().map(({ number }) => number));
}
