/** The metadata in memory that is not on disk yet. */
import type { Unwritten } from '../../../block/inspect.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { MetadataView } from './view.ts';

/** The tables that are to be written back, and those that are being written, as copies. */
export function* unwrittenOf(image: Qcow2Image): Steps<Unwritten[]> {
  const view = new MetadataView(image);
  const found: Unwritten[] = [...image.refcountCache.dirtyTables(), ...image.l2Cache.dirtyTables()];
  for (const { offset, memory, disk } of [yield* view.l1(), yield* view.refcountTable()]) {
    if (!memory.equals(disk)) found.push({ offset, bytes: memory });
  }
  return found.map(({ offset, bytes }) => ({ offset, bytes: Buffer.from(bytes) }));
}
