/** How images of nothing are found: by the drivers' names, and by the names "null-co://" and "null-aio://". */
import type { LazyDriver } from '../../block/driver.ts';
import { invalidArgument } from '../../block/error.ts';

/** An entry in the registry; the driver is loaded when the first node is opened. */
function nullDriver(name: string, load: LazyDriver['load']): LazyDriver {
  return {
    formatName: name,
    protocolName: name,
    parseFilename(filename) {
      if (filename !== `${name}://`) {
        throw invalidArgument(`The only allowed filename for this driver is '${name}://'`);
      }
    },
    load,
  };
}

export const nullCo = nullDriver('null-co', async () => (await import('./driver.ts')).nullCo);
export const nullAio = nullDriver('null-aio', async () => (await import('./driver.ts')).nullAio);
