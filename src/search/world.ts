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
import type { Compat } from '../block/compat.ts';
import { portOf } from '../block/debug/port.ts';
import type { RegisteredDriver } from '../block/driver.ts';
import type { BlockNode } from '../block/graph/node.ts';
import type { UserObject } from '../block/user-object.ts';
import type { CommandTable } from '../shell/command.ts';
import type { Output } from '../shell/output/output.ts';
import { type OpenRequest, Session } from '../shell/session.ts';
import type { Pending } from '../util/steps.ts';
import { JumpingClock } from '../sandbox/jumping-clock.ts';
import type { DiskHost } from '../sandbox/disks/disk-driver.ts';
import { Disks, FileSet } from '../sandbox/disks/disks.ts';
import { PagePool } from '../sandbox/disks/memory-disk.ts';
import { ReadOnlyFile } from '../sandbox/disks/read-only-file.ts';
import { type NodeHooks, sandboxDrivers } from '../sandbox/sandbox-drivers.ts';
import { sandboxTable } from '../sandbox/sandbox-table.ts';
import { SessionOutput, type Transcript } from './world/session-output.ts';
import { type UserWatcher, WatchedBackend } from './world/watched-backend.ts';

/** Of all disks of a world together, unless the world is given another limit. */
const MEMORY_MAX_BYTES = 1 << 30;

/** Why a command is refused. */
export const REFUSED_COMMAND = 'and cannot be part of a search';
/** Why a driver is refused; its name follows. */
const REFUSAL = 'A search takes images in files, and none of the driver';

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
  readonly compat?: Compat;
  readonly memoryMaxBytes?: number;
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
    this.#commands = sandboxTable(parts.commands, REFUSED_COMMAND);
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
        drivers: sandboxDrivers(this.#parts.drivers, host, REFUSAL, hooks),
        objects,
        clock: new JumpingClock(),
        ...(this.#parts.compat === undefined ? {} : { compat: this.#parts.compat }),
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
}

/** For `NodeHooks.opened`: takes away all rules, so that an image can be looked at as it is. */
export function removeRules(node: BlockNode): void {
  const rules = portOf(node)?.rules;
  rules?.remove(rules.list().map(({ number }) => number));
}
