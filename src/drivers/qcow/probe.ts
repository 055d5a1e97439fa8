/** How a qcow image is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';

export const MAGIC = 0x514649fb;
export const VERSION = 1;
export const HEADER_BYTES = 48;

/** Its entry in the registry; the rest is loaded when the first image is opened. */
export const qcow: LazyDriver = {
  formatName: 'qcow',

  probe(head) {
    if (head.length < HEADER_BYTES) return 0;
    const data = Buffer.from(head.buffer, head.byteOffset, head.length);
    return data.readUInt32BE(0) === MAGIC && data.readUInt32BE(4) === VERSION ? 100 : 0;
  },

  load: async () => (await import('./driver.ts')).qcow,
};
