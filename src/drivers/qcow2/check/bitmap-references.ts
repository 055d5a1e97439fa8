/**
 * Counting the references of persistent bitmaps: the directory, each bitmap's table, and the clusters with its bits.
 */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { type DirectoryEntry, readDirectory } from '../bitmaps/directory.ts';
import { clustersOf, readTable } from '../bitmaps/bitmap-table.ts';
import type { Qcow2Image } from '../tables/image.ts';
import type { CheckState } from './state.ts';

/** Counts the references of all bitmaps. EINVAL for a directory that is malformed, counted as a corruption. */
export function* countBitmaps(image: Qcow2Image, { map, result }: CheckState): Steps<void> {
  if (image.bitmapCount === 0) return;
  map.addReference(result, image.bitmapDirectoryOffset, image.bitmapDirectoryBytes);
  let entries: DirectoryEntry[];
  try {
    // The entries are held against the length of the disk, which such an image does not have any more.
    image.checkUsable();
    entries = yield* readDirectory(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    result.corruptions += 1;
    throw new BlockError(Errno.EINVAL);
  }
  for (const entry of entries) {
    map.addReference(result, entry.tableOffset, entry.tableEntries * 8);
    let table: Buffer;
    try {
      table = yield* readTable(image, entry);
    } catch (error) {
      if (error instanceof BlockError) result.corruptions += 1;
      throw error;
    }
    for (const offset of clustersOf(table)) map.addReference(result, offset, image.clusterBytes);
  }
}
