/** A server over a node in memory, with a loop that turns by itself. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { BlockBackend } from '../../src/block/backend.ts';
import type { Clock } from '../../src/block/loop/clock.ts';
import type { Driver } from '../../src/block/driver.ts';
import { Req } from '../../src/block/flags.ts';
import type { Address } from '../../src/nbd/address.ts';
import { NbdExport } from '../../src/nbd/export.ts';
import type { NbdLimits } from '../../src/nbd/server-limits.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import { type MemoryNode, type MemoryState, memoryNode } from '../helpers/memory-node.ts';
import { makeFolder } from '../helpers/sandbox.ts';

export interface RigOptions {
  readonly bytes?: number;
  readonly overrides?: Partial<Driver<MemoryState>>;
  readonly limits?: Partial<NbdLimits>;
  readonly clock?: Clock;
  readonly requestAlignment?: number;
  readonly isReadOnly?: boolean;
  readonly description?: string;
}

export class Rig {
  readonly memory: MemoryNode;
  readonly backend: BlockBackend;
  readonly server: NbdServer;
  readonly lines: string[] = [];
  readonly folder: string;
  address!: Address;
  #isOver = false;
  readonly #turning: Promise<void>;

  private constructor(options: RigOptions) {
    const { bytes = 1 << 20, overrides = {}, requestAlignment = 1 } = options;
    this.memory = memoryNode(bytes, { requestAlignment }, overrides);
    this.memory.node.supportedZeroFlags = Req.MAY_UNMAP;
    this.backend = new BlockBackend(this.memory.child);
    const { loop } = this.memory;
    const { clock, limits = {} } = options;
    const given = clock === undefined ? { loop } : { loop, clock };
    this.server = new NbdServer({
      ...given,
      limits: { goodbyeNs: 50e6, ...limits },
      tell: (line) => this.lines.push(line),
    });
    this.folder = makeFolder();
    this.#turning = this.#turn();
  }

  static async make(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    const { isReadOnly = false, description = '' } = options;
    rig.server.addExport(new NbdExport({ name: '', backend: rig.backend, isReadOnly, description }));
    rig.address = await rig.server.listen({ kind: 'unix', path: path.join(rig.folder, 's') });
    return rig;
  }

  get calls(): string[] {
    return this.memory.state.calls;
  }

  async #turn(): Promise<void> {
    while (!this.#isOver) await this.memory.loop.turnOrSleep();
  }

  /** Stops the turning, so that something else may turn the loop. */
  async halt(): Promise<void> {
    this.#isOver = true;
    this.memory.loop.interrupt();
    await this.#turning;
  }

  async end(): Promise<void> {
    await this.halt();
    for (const { coroutine } of this.parked()) await this.memory.loop.enter(coroutine);
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The requests that wait at a gate. */
  parked() {
    return [...this.memory.loop.alive]
      .filter(({ waitsFor }) => waitsFor?.kind === 'breakpoint')
      .map((coroutine) => ({ coroutine, origin: coroutine.origin, operation: coroutine.operation }));
  }

  /** Lets the oldest request at a gate go on. */
  async resume(): Promise<void> {
    const [first] = this.parked();
    if (first === undefined) throw new Error('nothing is parked');
    // As a bottom half: in a turn of the loop, as nothing else may enter coroutines while something turns it.
    await new Promise<void>((resolve) => {
      this.memory.loop.schedule(async () => {
        await this.memory.loop.enter(first.coroutine);
        resolve();
      });
    });
  }

  /** Waits until something is so; the sockets of both sides have to be looked at for that. */
  async until(condition: () => boolean): Promise<void> {
    for (let turn = 0; !condition(); turn += 1) {
      if (turn > 100_000) throw new Error('it never came to that');
      await new Promise(setImmediate);
    }
  }
}
