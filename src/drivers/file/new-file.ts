/** New files of the host: their options, and how one is deleted that could not be made whole. */
import { unlinkSync } from 'node:fs';
import type { CreateOption } from '../../block/driver.ts';
import { hostErrno } from '../../util/errno.ts';

/** The options of new files. `nocow` and `extent_size_hint` are hints that are not passed on. */
export const fileCreateOptions: readonly CreateOption[] = [
  { name: 'size', type: 'size', help: 'how long it is' },
  { name: 'nocow', type: 'bool', help: 'a hint for btrfs' },
  { name: 'preallocation', type: 'string', help: 'off, falloc or full' },
  { name: 'extent_size_hint', type: 'size', help: 'a hint for XFS' },
];

/** Deletes a file that could not be made whole. A failure does not matter. */
export async function deleteHostFile(filename: string): Promise<void> {
  try {
    unlinkSync(filename.replace(/^file:/, ''));
  } catch (error) {
    hostErrno(error);
  }
}
