/** How a raw image is recognised, and its driver found. */
import type { LazyDriver } from '../../block/driver.ts';

/** Its entry in the registry; the rest is loaded when the first image is opened. */
export const raw: LazyDriver = {
  formatName: 'raw',
  /** The least score that counts: raw is what nothing else is. */
  probe: () => 1,
  load: async () => (await import('./driver.ts')).raw,
};
