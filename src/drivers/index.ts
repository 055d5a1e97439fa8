/** The drivers of this program, one line a driver; the order counts where two recognise an image equally well. */
import type { Driver, LazyDriver } from '../block/driver.ts';
import { blkdebug } from './blkdebug/name.ts';
import { compress } from './compress/driver.ts';
import { copyOnReadFilter } from './copy-on-read/driver.ts';
import { file, hostCdrom, hostDevice } from './file/driver.ts';
import { luks } from './luks/probe.ts';
import { nbd } from './nbd/name.ts';
import { nullAio, nullCo } from './null/driver.ts';
import { qcow } from './qcow/probe.ts';
import { qcow2 } from './qcow2/probe.ts';
import { qed } from './qed/probe.ts';
import { raw } from './raw/driver.ts';
import { recognisedFormats } from './recognised/driver.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- each driver has its own state
export const drivers: readonly (Driver<any> | LazyDriver)[] = [
  blkdebug,
  compress,
  copyOnReadFilter,
  file,
  hostCdrom,
  hostDevice,
  luks,
  nbd,
  nullAio,
  nullCo,
  qcow,
  qcow2,
  qed,
  raw,
  ...recognisedFormats,
];
