/** The drivers of this program, one line a driver; the order counts where two recognise an image equally well. */
import type { Driver, LazyDriver } from '../block/driver.ts';
import { blkdebug } from './blkdebug/name.ts';
import { blkverify } from './blkverify/name.ts';
import { file, hostCdrom, hostDevice } from './file/name.ts';
import { luks } from './luks/probe.ts';
import { nbd } from './nbd/name.ts';
import { nullAio, nullCo } from './null/name.ts';
import { qcow } from './qcow/probe.ts';
import { qcow2 } from './qcow2/probe.ts';
import { qed } from './qed/probe.ts';
import { raw } from './raw/probe.ts';
import { recognisedFormats } from './recognised/driver.ts';
import { vmdk } from './vmdk/probe.ts';

/** A driver that is found by its name alone, and loaded with the first node that names it. */
function byName(formatName: string, load: LazyDriver['load']): LazyDriver {
  return { formatName, load };
}

// oxlint-disable-next-line typescript/no-explicit-any -- each driver has its own state
export const drivers: readonly (Driver<any> | LazyDriver)[] = [
  blkdebug,
  byName('blklogwrites', async () => (await import('./blklogwrites/driver.ts')).blklogwrites),
  blkverify,
  byName('compress', async () => (await import('./compress/driver.ts')).compress),
  byName('copy-before-write', async () => (await import('./copy-before-write/driver.ts')).copyBeforeWrite),
  byName('copy-on-read', async () => (await import('./copy-on-read/driver.ts')).copyOnReadFilter),
  file,
  hostCdrom,
  hostDevice,
  luks,
  nbd,
  nullAio,
  nullCo,
  byName('preallocate', async () => (await import('./preallocate/driver.ts')).preallocate),
  qcow,
  qcow2,
  qed,
  byName('quorum', async () => (await import('./quorum/driver.ts')).quorum),
  raw,
  byName('snapshot-access', async () => (await import('./snapshot-access/driver.ts')).snapshotAccess),
  byName('throttle', async () => (await import('./throttle/driver.ts')).throttle),
  vmdk,
  ...recognisedFormats,
];
