/** How blkdebug is found: by its name, and by the prefix of "blkdebug:RULES:IMAGE". */
import type { LazyDriver } from '../../block/driver.ts';
import { parseFilename } from './filename.ts';

/** Its entry in the registry; the rest is loaded when the first node is opened. */
export const blkdebug: LazyDriver = {
  formatName: 'blkdebug',
  protocolName: 'blkdebug',
  parseFilename,
  load: async () => (await import('./driver.ts')).blkdebug,
};
