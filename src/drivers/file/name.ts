/** How the host's files and devices are found: by the driver's name, by a prefix, or by what the host has there. */
import { closeSync, constants, openSync, type Stats, statSync } from 'node:fs';
import type { LazyDriver } from '../../block/driver.ts';
import { stripProtocol } from '../../block/open/protocol-prefix.ts';
import { isDiscDrive } from '../../sys/block-device.ts';

/** An entry in the registry; the drivers are loaded when the first node is opened. */
function hostDriver(name: string, load: LazyDriver['load']): LazyDriver {
  return {
    formatName: name,
    protocolName: name,
    needsFilename: true,
    parseFilename: (filename, options) => stripProtocol(filename, `${name}:`, options),
    load,
  };
}

export const file = hostDriver('file', async () => (await import('./driver.ts')).file);

export const hostDevice: LazyDriver = {
  ...hostDriver('host_device', async () => (await import('./driver.ts')).hostDevice),
  probeDevice: scoreOfDevice,
};

export const hostCdrom: LazyDriver = {
  ...hostDriver('host_cdrom', async () => (await import('./driver.ts')).hostCdrom),
  probeDevice: scoreOfDrive,
};

/** How surely a name without a prefix is a device: certainly, if that is what the host has there. */
function scoreOfDevice(filename: string): number {
  // Leaves room for the driver of drives.
  if (filename.startsWith('/dev/cdrom')) return 50;
  const stat = statOrNull(filename);
  return stat !== null && (stat.isBlockDevice() || stat.isCharacterDevice()) ? 100 : 0;
}

function scoreOfDrive(filename: string): number {
  if (statOrNull(filename)?.isBlockDevice() !== true) return 0;
  let fd: number;
  try {
    fd = openSync(filename, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return 0;
  }
  try {
    return isDiscDrive(fd) ? 100 : 0;
  } finally {
    closeSync(fd);
  }
}

function statOrNull(filename: string): Stats | null {
  try {
    return statSync(filename);
  } catch {
    return null;
  }
}
