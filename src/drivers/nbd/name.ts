/** How NBD exports are found: by the driver's name, and by the prefixes of file names. */
import type { LazyDriver } from '../../block/driver.ts';
import { parseFilename } from './filename.ts';

/** The client's entry in the registry; the rest is loaded when the first node is opened. */
export const nbd: LazyDriver = {
  formatName: 'nbd',
  protocolName: 'nbd',
  otherPrefixes: ['nbd+tcp', 'nbd+unix'],
  parseFilename,
  load: async () => (await import('./driver.ts')).nbd,
};
