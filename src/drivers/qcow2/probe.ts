/** How a qcow2 image is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';
import { HEADER_BYTES, HeaderField, MAGIC } from './format/header-fields.ts';

/** Its entry in the registry; the rest is loaded when the first image is opened. */
export const qcow2: LazyDriver = {
  formatName: 'qcow2',

  probe: (head) => {
    const data = Buffer.from(head.buffer, head.byteOffset, head.length);
    if (data.length < HEADER_BYTES) return 0;
    return data.readUInt32BE(HeaderField.MAGIC) === MAGIC && data.readUInt32BE(HeaderField.VERSION) >= 2 ? 100 : 0;
  },

  load: async () => (await import('./driver.ts')).qcow2,
};
