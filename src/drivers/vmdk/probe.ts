/** How a vmdk image is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';

/** The first bytes of a sparse extent: as hosted products make it, and as ESX Server 2 did ("COW disk"). */
export const SPARSE_MAGIC = 'KDMV';
export const COWD_MAGIC = 'COWD';

const MAGIC_BYTES = 4;
/** The beginning of a descriptor: comments and blank lines, then the line that says its version. */
const descriptor = /^(?:#[^\n]*\n| +\r?\n)*version=[123]\r?\n/;

/** Its entry in the registry; the rest is loaded when the first image is opened. */
export const vmdk: LazyDriver = {
  formatName: 'vmdk',

  probe(head) {
    const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('latin1');
    const magic = text.slice(0, MAGIC_BYTES);
    return magic === SPARSE_MAGIC || magic === COWD_MAGIC || descriptor.test(text) ? 100 : 0;
  },

  load: async () => (await import('./driver.ts')).vmdk,
};
