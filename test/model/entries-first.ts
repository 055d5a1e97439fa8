/** A planted bug: qcow2 enters new clusters into the L2 table first, and writes the guest's data to them afterwards. */
import { Event } from '../../src/block/events/events.ts';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { pwritev } from '../../src/block/request/write.ts';
import { linkParts } from '../../src/drivers/qcow2/data/cow.ts';
import { Qcow2Image } from '../../src/drivers/qcow2/tables/image.ts';
import type { Allocation, WriteOrdering } from '../../src/drivers/qcow2/tables/pending-update.ts';
import { run, type Steps } from '../../src/util/steps.ts';

const entriesFirst: Pick<WriteOrdering, 'writePart'> = {
  writePart: (image, _guest, data, allocation) => run(linkThenWrite(image, data, allocation)),
};

function* linkThenWrite(image: Qcow2Image, data: Buffer, allocation: Allocation): Steps<void> {
  yield* image.lock.holding(linkParts(image, allocation));
  yield image.fire(Event.WRITE_AIO);
  yield pwritev(image.dataFile, allocation.host, data, 0);
}

/** Plants the bug in a node, if it is one of qcow2. */
export function plantEntriesFirst({ state }: BlockNode): void {
  if (state instanceof Qcow2Image) state.ordering = { ...state.ordering, ...entriesFirst };
}
