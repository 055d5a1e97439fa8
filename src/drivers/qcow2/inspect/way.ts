/** The way of a guest offset: L1, L2, the refcount of its cluster, and the place of the data. */
import type { Way, WayStep } from '../../../block/inspect.ts';
import { compactBytes, requestName } from '../../../util/compact.ts';
import type { Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES } from '../format/header-fields.ts';
import { Cluster, hasHost, Subcluster } from '../format/l2-entry.ts';
import { COPIED, type GuestOffset, hex } from '../format/offsets.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { type L2Entry, readL2Entry, stateText, subclusterOf } from './entries.ts';
import { countText, entryText, l2OffsetAt, MetadataView, type TwoCounts } from './view.ts';

/** Follows a guest offset below the disk's length. */
export function* wayOf(image: Qcow2Image, guest: GuestOffset): Steps<Way> {
  const view = new MetadataView(image);
  const steps: WayStep[] = [];
  const entry = yield* tableSteps(view, guest, steps);
  for (const update of image.pendingUpdates.touching(guest, 1)) {
    const host = update.host + image.startOfCluster(guest) - update.guest;
    const name = update.owner === null ? 'a write' : requestName(update.owner.operation, update.owner.id);
    steps.push({
      ...noStep,
      step: 'pending',
      at: host,
      meaning: `${name} has this cluster, and no L2 entry for it yet`,
    });
  }
  const next = yield* dataSteps(view, guest, entry, steps);
  return { steps, next };
}

const noStep = { index: null, at: null, entry: null, disk: null, cache: null };

/** The steps in the tables; the entry that they lead to, or null. */
function* tableSteps(view: MetadataView, guest: GuestOffset, steps: WayStep[]): Steps<L2Entry | null> {
  const { image } = view;
  const l1 = yield* view.l1();
  const index = image.l1IndexOf(guest);
  const at = index * L1_ENTRY_BYTES;
  const l2Offset = l2OffsetAt(l1.memory, index);
  const isCopied = (readBe32(l1.memory, at) & COPIED) !== 0;
  const counted = l2Offset === 0 ? null : yield* view.refcount(image.clusterIndexOf(l2Offset));
  steps.push({
    step: 'l1',
    index,
    at: l1.offset + at,
    entry: entryText(l1.memory, at),
    disk: entryText(l1.disk, at),
    cache: null,
    meaning:
      counted === null ? 'no L2 table' : `L2 table at ${hex(l2Offset)}${copiedText(isCopied)}, ${countText(counted)}`,
  });
  if (l2Offset === 0) return null;
  const l2 = yield* view.l2(l2Offset);
  const l2Index = image.clusterIndexOf(guest) % image.l2Entries;
  const entry = readL2Entry(image, l2.memory, l2Index);
  const l2At = l2Index * image.l2EntryBytes;
  steps.push({
    step: 'l2',
    index: l2Index,
    at: l2Offset + l2At,
    entry: wholeEntryText(image, l2.memory, l2Index),
    disk: wholeEntryText(image, l2.disk, l2Index),
    cache: l2.cacheAt(l2At),
    meaning: stateText(image, entry) + copiedText(entry.isCopied),
  });
  return entry;
}

function copiedText(isCopied: boolean): string {
  return isCopied ? ', copied' : '';
}

/** An L2 entry as text, with the bitmap of its subclusters behind a blank. */
export function wholeEntryText({ l2EntryBytes, hasSubclusters }: Qcow2Image, table: Buffer, index: number): string {
  const at = index * l2EntryBytes;
  return entryText(table, at) + (hasSubclusters ? ` ${entryText(table, at + 8)}` : '');
}

/** The steps behind the tables, and where the way goes on. */
function* dataSteps(
  view: MetadataView,
  guest: GuestOffset,
  entry: L2Entry | null,
  steps: WayStep[],
): Steps<Way['next']> {
  const { image } = view;
  const type =
    entry === null ? Subcluster.UNALLOCATED_PLAIN : subclusterOf(image, entry, image.subclusterIndexOf(guest));
  if (entry !== null && entry.host !== null && !image.hasDataFile) {
    const counted = yield* view.refcount(image.clusterIndexOf(entry.host));
    steps.push(refcountStep(image, entry.host, counted));
  }
  if (type === Subcluster.UNALLOCATED_PLAIN || type === Subcluster.UNALLOCATED_ALLOC)
    return behindUnallocated(image, guest, steps);
  if (entry?.type === Cluster.COMPRESSED) {
    const meaning = `compressed data in at most ${compactBytes(entry.hostBytes)} bytes`;
    steps.push({ ...noStep, step: 'compressed', at: entry.host, meaning });
    return null;
  }
  if (type !== Subcluster.NORMAL) {
    const at = hasHost(type) ? (entry?.host ?? 0) + image.intoCluster(guest) : null;
    steps.push({ ...noStep, step: type === Subcluster.INVALID ? 'invalid' : 'zero', at, meaning: meaningOf(type) });
    return null;
  }
  const at = (entry?.host ?? 0) + image.intoCluster(guest);
  steps.push({ ...noStep, step: 'data', at, meaning: image.hasDataFile ? 'in the data file' : 'in the file' });
  return { node: image.dataFile.node, offset: at };
}

function meaningOf(type: number): string {
  if (type === Subcluster.INVALID) return 'this entry cannot be';
  return hasHost(type) ? 'reads as zeroes, its space is kept' : 'reads as zeroes';
}

function refcountStep(image: Qcow2Image, host: number, { memory, disk, at, cache }: TwoCounts): WayStep {
  return {
    step: 'refcount',
    index: image.clusterIndexOf(host),
    at,
    entry: memory === null ? null : String(memory),
    disk: disk === null ? null : String(disk),
    cache,
    meaning: memory === null ? 'no refcount block' : `of the cluster at ${hex(image.startOfCluster(host))}`,
  };
}

function behindUnallocated(image: Qcow2Image, guest: GuestOffset, steps: WayStep[]): Way['next'] {
  const backing = image.node.backing?.node ?? null;
  const isBehind = backing !== null && guest >= backing.getLength();
  const meaning =
    backing === null
      ? 'reads as zeroes'
      : isBehind
        ? 'behind the end of the backing file: zeroes'
        : 'as the backing file says';
  steps.push({ ...noStep, step: 'unallocated', meaning });
  return backing === null || isBehind ? null : { node: backing, offset: guest };
}
