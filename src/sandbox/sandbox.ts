/** A sandbox: the files of a session as disks in memory, its clock, and the drivers over both. */
import { totalmem } from 'node:os';
import type { RegisteredDriver } from '../block/driver.ts';
import { BlockError } from '../block/error.ts';
import type { SessionOptions } from '../shell/session-state.ts';
import type { Session } from '../shell/session.ts';
import { Errno } from '../util/errno.ts';
import type { DiskHost } from './disks/disk-driver.ts';
import { Disks, FileSet } from './disks/disks.ts';
import { PagePool } from './disks/memory-disk.ts';
import { ReadOnlyFile } from './disks/read-only-file.ts';
import { JumpingClock } from './jumping-clock.ts';
import { sandboxDrivers } from './sandbox-drivers.ts';

/** Why a driver is refused; its name follows. */
const REFUSAL = 'A sandbox copies images in files, and none of the driver';

/** The share of the host's memory that changed data may take; without an end it would take the whole. */
const MEMORY_SHARE = 0.5;

/** Files, memory and time of one session, which begins anew as often as it goes back. */
export class Sandbox implements DiskHost {
  readonly drivers: readonly RegisteredDriver[];
  readonly command = 0;
  readonly onRequest = null;
  readonly #pool: PagePool;
  #files = openedFiles();
  #disks: Disks;
  #session: Session | null = null;
  #clock = this.#makeClock();

  /** `memoryMaxBytes`: what is changed may take no more; ENOSPC beyond it. Default: half of the host's memory. */
  constructor(drivers: readonly RegisteredDriver[], memoryMaxBytes = Math.floor(totalmem() * MEMORY_SHARE)) {
    this.#pool = new PagePool(
      memoryMaxBytes,
      (bytes) =>
        new BlockError(Errno.ENOSPC, `more than ${Math.floor(bytes / 2 ** 20)} MiB were changed in the sandbox`),
    );
    this.#disks = this.#newDisks();
    this.drivers = sandboxDrivers(drivers, this, REFUSAL);
  }

  /** The parts of a session that make it one of this sandbox. */
  get parts(): Required<Pick<SessionOptions, 'drivers' | 'clock'>> {
    return { drivers: this.drivers, clock: this.#clock };
  }

  /** The session that was made of the parts. */
  serve(session: Session): void {
    this.#session = session;
  }

  get disks(): Disks {
    return this.#disks;
  }

  get clock(): JumpingClock {
    return this.#clock;
  }

  countRequest(): void {
    // A user is there to end what does not end.
  }

  /** Begins anew: files as they are on the host, no image open, no command run. */
  restart(session: Session): void {
    this.#clock.hold();
    this.#disks.release();
    this.#disks = this.#newDisks();
    this.#clock = this.#makeClock();
    session.restart(this.parts);
  }

  /** Looks at the host's files anew when they are opened next: they were written. */
  forgetFiles(): void {
    this.#files.close();
    this.#files = openedFiles();
  }

  /** Closes the host's files; nothing may be read any more. */
  close(): void {
    this.#files.close();
  }

  #newDisks(): Disks {
    return new Disks(this.#files, this.#pool, false);
  }

  #makeClock(): JumpingClock {
    return new JumpingClock({ isAsleep: () => this.#session?.loop.isAsleep === true });
  }
}

function openedFiles(): FileSet {
  return new FileSet((path) => new ReadOnlyFile(path));
}
