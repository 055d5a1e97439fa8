/** Guessing the format of an image from its first bytes. */
import { Errno } from '../../util/errno.ts';
import type { RegisteredDriver } from '../driver.ts';
import { BlockError, withContext } from '../error.ts';
import type { ChildLink } from '../graph/node.ts';
import type { DriverTable } from './driver-table.ts';
import { preadv } from '../request/read.ts';
import { assert } from '../../util/assert.ts';

const HEAD_BYTES = 2048;

/**
 * The driver that recognises the image behind `file` best; an empty one is raw. Throws ENOENT if none does, and what
 * reading it threw.
 */
export async function findImageFormat(file: ChildLink, filename: string): Promise<RegisteredDriver> {
  const { drivers } = file.node.context;
  if (file.node.getLength() === 0) return raw(drivers);
  const head = file.node.context.allocate(HEAD_BYTES);
  // Beyond the end of a shorter image there are zeroes.
  await withContext('Could not read image for determining its format', () => preadv(file, 0, head, 0));
  const driver = drivers.probe(head, filename);
  if (driver === null) {
    throw new BlockError(Errno.ENOENT, 'Could not determine image format: No compatible driver found');
  }
  return driver;
}

function raw(drivers: DriverTable): RegisteredDriver {
  const driver = drivers.find('raw');
  assert(driver !== null, 'there is a driver for raw images');
  return driver;
}
