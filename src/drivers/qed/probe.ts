/** How a qed image is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';

export const MAGIC = Buffer.from('QED\0', 'latin1');
export const HEADER_BYTES = 64;

/** Its entry in the registry; the rest is loaded when the first image is opened. */
export const qed: LazyDriver = {
  formatName: 'qed',
  probe: (head) => (head.length >= HEADER_BYTES && MAGIC.equals(head.subarray(0, MAGIC.length)) ? 100 : 0),
  load: async () => (await import('./driver.ts')).qed,
};
