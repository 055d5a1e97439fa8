/** The file names of blkdebug: `blkdebug:CONFIG:IMAGE`, of which CONFIG may be empty. */
import { BlockError } from '../../block/error.ts';
import type { Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import type { BlkdebugNode } from './state.ts';

const PREFIX = 'blkdebug:';

/** A name that would be longer is none. */
const FILENAME_BYTES_MAX = 4095;

/** The options that a file name can say, and those that it says as the image's name. */
const sayable: ReadonlySet<string> = new Set(['driver', 'config', 'image', 'x-image']);

/** Options that change what the image looks like. A trailing dot stands for all options that begin so. */
export const strongOptions = [
  'config',
  'inject-error.',
  'set-state.',
  'align',
  'max-transfer',
  'opt-write-zero',
  'max-write-zero',
  'opt-discard',
  'max-discard',
] as const;

/** Puts the parts of a file name into `config` and `x-image`. A name without the prefix is the image's. */
export function parseFilename(filename: string, options: Options): void {
  if (!filename.startsWith(PREFIX)) {
    options.set('x-image', filename);
    return;
  }
  const colon = filename.indexOf(':', PREFIX.length);
  if (colon < 0) throw new BlockError(Errno.EINVAL, 'blkdebug requires both config file and image path');
  if (colon > PREFIX.length) options.set('config', filename.slice(PREFIX.length, colon));
  options.set('x-image', filename.slice(colon + 1));
}

/** A node has a file name if its image has one, and it has no option that a name cannot say. */
export function refreshFilename(node: BlkdebugNode): void {
  const image = node.file?.node.exactFilename ?? '';
  if (image === '') return;
  for (const option of node.fullOpenOptions.keys()) {
    if (!sayable.has(option)) return;
  }
  const filename = `${PREFIX}${node.state.configPath ?? ''}:${image}`;
  if (Buffer.byteLength(filename) <= FILENAME_BYTES_MAX) node.exactFilename = filename;
}
