/** A planted bug: qcow2 enters new clusters into the L2 table first, and writes the guest's data to them afterwards. */
import { Event } from '../../src/block/events/events.ts';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { pwritev } from '../../src/block/request/write.ts';
import { endPart, linkPart } from '../../src/drivers/qcow2/data/cow.ts';
import { Qcow2Image } from '../../src/drivers/qcow2/tables/image.ts';
import type { Allocation, WriteOrdering } from '../../src/drivers/qcow2/tables/pending-update.ts';
import { run, type Steps } from '../../src/util/steps.ts';

const entriesFirst: Pick<WriteOrdering, 'writePart'> = {
  writePart: (image, _guest, data, allocation) => run(linkThenWrite(image, data, allocation)),
};

function* linkThenWrite(image: Qcow2Image, data: Buffer, allocation: Allocation): Steps<void> {
  try {
    yield* image.lock.holding(link(image, allocation));
    yield image.fire(Event.WRITE_AIO);
    yield pwritev(image.dataFile, allocation.host, data, 0);
  } finally {
    yield* image.lock.holding(end(image, allocation));
  }
}

function* link(image: Qcow2Image, { parts }: Allocation): Steps<void> {
  for (let part = parts; part !== null; part = part.next) yield* linkPart(image, part);
}

// oxlint-disable-next-line require-yield -- the steps of a lock's holder
function* end(image: Qcow2Image, allocation: Allocation): Steps<void> {
  for (let part = allocation.parts; part !== null; part = allocation.parts) endPart(image, allocation, part);
}

/** Plants the bug in a node, if it is one of qcow2. */
export function plantEntriesFirst({ state }: BlockNode): void {
  if (state instanceof Qcow2Image) state.ordering = { ...state.ordering, ...entriesFirst };
}
