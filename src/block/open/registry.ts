/** The drivers that this program has. */
import type { KnownDriver } from '../driver.ts';
import { invalidArgument } from '../error.ts';
import { hasProtocol } from './filename.ts';

const drivers: KnownDriver[] = [];

/** Makes drivers known. One with the name of a known driver takes its place. */
export function registerDrivers(added: readonly KnownDriver[]): void {
  for (const driver of added) {
    const index = drivers.findIndex((known) => known.formatName === driver.formatName);
    if (index < 0) drivers.push(driver);
    else drivers[index] = driver;
  }
}

/** The driver of this name, or null. */
export function findFormat(name: string): KnownDriver | null {
  return drivers.find((driver) => driver.formatName === name) ?? null;
}

/** Whether a driver opens its image itself instead of through a child that is opened for it. */
export function isProtocol(driver: KnownDriver): boolean {
  return driver.protocolName !== undefined;
}

/** The driver that a file name asks for: a device's, else that of its prefix, else "file". EINVAL for an unknown prefix. */
export function findProtocol(filename: string, allowPrefix: boolean): KnownDriver {
  const device = best((driver) => driver.probeDevice?.(filename) ?? 0);
  if (device !== null) return device;

  if (!allowPrefix || !hasProtocol(filename)) {
    const file = findFormat('file');
    if (file === null) throw new Error('no driver for files is registered');
    return file;
  }
  const prefix = filename.slice(0, filename.indexOf(':'));
  const driver = drivers.find(({ protocolName }) => protocolName === prefix);
  // The message has room for 127 bytes of it.
  if (driver === undefined) throw invalidArgument(`Unknown protocol '${prefix.slice(0, 127)}'`);
  return driver;
}

/** The driver that recognises the beginning of an image best; null if none does. */
export function probeFormat(head: Uint8Array, filename: string): KnownDriver | null {
  return best((driver) => driver.probe?.(head, filename) ?? 0);
}

/** The first driver with the highest positive score. */
function best(score: (driver: KnownDriver) => number): KnownDriver | null {
  let winner: KnownDriver | null = null;
  let highest = 0;
  for (const driver of drivers) {
    const value = score(driver);
    if (value > highest) {
      highest = value;
      winner = driver;
    }
  }
  return winner;
}
