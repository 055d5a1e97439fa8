/** How a qcow2 image is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';

/** "QFI\xfb". */
export const MAGIC = 0x5146_49fb;
/** The part of the header that is known here. */
export const HEADER_BYTES = 112;

/** Its entry in the registry; the rest is loaded when the first image is opened. */
export const qcow2: LazyDriver = {
  formatName: 'qcow2',

  probe: (head) => {
    const data = Buffer.from(head.buffer, head.byteOffset, head.length);
    return data.length >= HEADER_BYTES && data.readUInt32BE(0) === MAGIC && data.readUInt32BE(4) >= 2 ? 100 : 0;
  },

  load: async () => (await import('./driver.ts')).qcow2,
};
