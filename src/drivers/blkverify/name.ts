/** How blkverify is found: by its name, and by the prefix of "blkverify:RAW:IMAGE". */
import type { LazyDriver } from '../../block/driver.ts';
import { invalidArgument } from '../../block/error.ts';

const PREFIX = 'blkverify:';

/** Its entry in the registry; the rest is loaded when the first node is opened. */
export const blkverify: LazyDriver = {
  formatName: 'blkverify',
  protocolName: 'blkverify',

  parseFilename(filename, options) {
    if (!filename.startsWith(PREFIX)) {
      options.set('x-image', filename);
      return;
    }
    const colon = filename.indexOf(':', PREFIX.length);
    if (colon < 0) throw invalidArgument('blkverify requires raw copy and original image path');
    options.set('x-raw', filename.slice(PREFIX.length, colon));
    options.set('x-image', filename.slice(colon + 1));
  },

  load: async () => (await import('./driver.ts')).blkverify,
};
