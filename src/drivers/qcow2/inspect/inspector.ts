/** The inspector of an open image: all that commands may ask of its metadata. */
import type { Inspector, MetadataCopy } from '../../../block/inspect.ts';
import { assert } from '../../../util/assert.ts';
import { run } from '../../../util/steps.ts';
import type { GuestOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { compareCopies, copyMetadata, Qcow2Copy } from './changes.ts';
import { headerStructure } from './header-rows.ts';
import { bitmapStructure, snapshotStructure } from './list-rows.ts';
import { mapRuns } from './map-runs.ts';
import { ownersOf } from './owners.ts';
import { l1Structure, l2Structure, refcountStructure } from './table-rows.ts';
import { unwrittenOf } from './unwritten.ts';
import { watchedPlaces } from './watched.ts';
import { wayOf } from './way.ts';

/** The inspector of an image. */
export function inspectorOf(image: Qcow2Image): Inspector {
  return {
    structures: [
      headerStructure(image),
      l1Structure(image),
      l2Structure(image),
      refcountStructure(image),
      snapshotStructure(image),
      bitmapStructure(image),
    ],
    where: (guest) => run(wayOf(image, guest as GuestOffset)),
    who: (range, tell) => run(ownersOf(image, range, tell)),
    map: (range, tell) => run(mapRuns(image, range, tell)),
    watched: (what, range) => run(watchedPlaces(image, what, range)),
    unwritten: () => run(unwrittenOf(image)),
    copy: (maxBytes) => run(copyMetadata(image, maxBytes)),
    changes: (before, now, tell) => run(compareCopies(image, ownCopy(before), ownCopy(now), tell)),
  };
}

function ownCopy(copy: MetadataCopy): Qcow2Copy {
  assert(copy instanceof Qcow2Copy, 'a copy is compared by the driver that made it');
  return copy;
}
