/** How a LUKS volume is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';

/** "LUKS", two bytes, and version 1 (LUKS1 on-disk format 1.2.1, figure 1). */
const MARK = Buffer.from('LUKS\xba\xbe\0\x01', 'latin1');

/** Its entry in the registry; the rest is loaded when the first volume is opened. */
export const luks: LazyDriver = {
  formatName: 'luks',
  probe: (head) => (MARK.equals(head.subarray(0, MARK.length)) ? 100 : 0),
  load: async () => (await import('./driver.ts')).luks,
};
