/** Guessing the format of an image from its first bytes. */
import { Errno } from '../../util/errno.ts';
import type { KnownDriver } from '../driver.ts';
import { BlockError, withContext } from '../error.ts';
import { allocateAligned } from '../memory.ts';
import type { ChildLink } from '../graph/node.ts';
import { findFormat, probeFormat } from './registry.ts';
import { preadv } from '../request/read.ts';

const HEAD_BYTES = 2048;

/**
 * The driver that recognises the image behind `file` best; an empty one is raw. Throws ENOENT if none does, and what
 * reading it threw.
 */
export async function findImageFormat(file: ChildLink, filename: string): Promise<KnownDriver> {
  if (file.node.getLength() === 0) return raw();
  const head = allocateAligned(HEAD_BYTES);
  // Beyond the end of a shorter image there are zeroes.
  await withContext('Could not read image for determining its format', () => preadv(file, 0, head, 0));
  const driver = probeFormat(head, filename);
  if (driver === null) {
    throw new BlockError(Errno.ENOENT, 'Could not determine image format: No compatible driver found');
  }
  return driver;
}

function raw(): KnownDriver {
  const driver = findFormat('raw');
  if (driver === null) throw new Error('no driver for raw images is registered');
  return driver;
}
