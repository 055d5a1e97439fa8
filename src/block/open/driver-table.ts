/** The drivers that a session has, and which of them a name or the beginning of an image asks for. */
import type { Driver, RegisteredDriver } from '../driver.ts';
import { loadPart } from '../error.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { hasProtocol } from './protocol-prefix.ts';
import { noDriver } from './missing-drivers.ts';

/** The drivers of a session, in the order in which they are asked. */
export class DriverTable {
  readonly #drivers: RegisteredDriver[] = [];

  constructor(drivers: readonly RegisteredDriver[]) {
    this.add(drivers);
  }

  /** Adds drivers. One with the name of a known driver takes its place. */
  add(drivers: readonly RegisteredDriver[]): void {
    for (const driver of drivers) {
      const index = this.#drivers.findIndex((known) => known.formatName === driver.formatName);
      if (index < 0) this.#drivers.push(driver);
      else this.#drivers[index] = driver;
    }
  }

  /** The driver of this name, or null. */
  find(name: string): RegisteredDriver | null {
    return this.#drivers.find((driver) => driver.formatName === name) ?? null;
  }

  /** The driver of a file name: a device's, else that of its prefix, else "file". EINVAL for an unknown prefix. */
  findProtocol(filename: string, allowPrefix: boolean): RegisteredDriver {
    const device = this.#best((driver) => driver.probeDevice?.(filename) ?? 0);
    if (device !== null) return device;

    if (!allowPrefix || !hasProtocol(filename)) {
      const file = this.find('file');
      assert(file !== null, 'there is a driver for files');
      return file;
    }
    const prefix = filename.slice(0, filename.indexOf(':'));
    const driver = this.#drivers.find(
      ({ protocolName, otherPrefixes }) => protocolName === prefix || otherPrefixes?.includes(prefix),
    );
    // QEMU's message has room for 127 bytes of it.
    if (driver === undefined) throw noDriver(prefix, `Unknown protocol '${prefix.slice(0, 127)}'`, Errno.EINVAL);
    return driver;
  }

  /** The driver that recognises the beginning of an image best; null if none does. */
  probe(head: Uint8Array, filename: string): RegisteredDriver | null {
    return this.#best((driver) => driver.probe?.(head, filename) ?? 0);
  }

  /** The first driver with the highest positive score. */
  #best(score: (driver: RegisteredDriver) => number): RegisteredDriver | null {
    let winner: RegisteredDriver | null = null;
    let highest = 0;
    for (const driver of this.#drivers) {
      const value = score(driver);
      if (value > highest) {
        highest = value;
        winner = driver;
      }
    }
    return winner;
  }
}

/** The driver itself, loaded unless it is there. EIO if it cannot be loaded. */
export async function loadDriver(driver: RegisteredDriver): Promise<Driver> {
  return 'load' in driver ? loadPart(`its driver '${driver.formatName}'`, () => driver.load()) : driver;
}

/** Whether a driver opens its image itself instead of through a child that is opened for it. */
export function isProtocol(driver: RegisteredDriver): boolean {
  return driver.protocolName !== undefined;
}
