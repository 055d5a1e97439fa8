/** Whether a descriptor is a terminal, without what Node's module costs to load. */
import { fstatSync } from 'node:fs';
import { loadNow } from '../util/load-now.ts';

/** Linux's major number of /dev/null, /dev/zero and their like. */
const MEMORY_DEVICES = 1;

/**
 * Whether the descriptor is open on a terminal. Node's `tty` brings sockets and streams with it: they are
 * loaded only for a descriptor that can be a terminal.
 */
export function isTerminal(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    if (!stats.isCharacterDevice()) return false;
    if (process.platform === 'linux' && stats.rdev >>> 8 === MEMORY_DEVICES) return false;
  } catch {
    return false;
  }
  return loadNow('node:tty').isatty(fd);
}
