/** How blkdebug is found: by its name, and by the prefix of "blkdebug:RULES:IMAGE". */
import type { DriverOnNeed } from '../../block/driver.ts';
import { parseFilename } from './filename.ts';

export const blkdebug: DriverOnNeed = {
  formatName: 'blkdebug',
  protocolName: 'blkdebug',
  parseFilename,
  load: async () => (await import('./driver.ts')).blkdebug,
};
