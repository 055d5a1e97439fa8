/** The owners of a cluster of the file: what refers to it in memory and on disk, and which write has just taken it. */
import type { HostCluster, InspectedRange, Owner } from '../../../block/inspect.ts';
import { requestName } from '../../../util/compact.ts';
import type { Steps } from '../../../util/steps.ts';
import type { GuestOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { clustersOf, eachReference, type Reference, type Side } from './references.ts';
import { MetadataView } from './view.ts';

/** An owner that is being put together from both states. */
type Found = Omit<Owner, 'known'> & { memory: boolean; disk: boolean };

/** Tells of each cluster that a range of the file touches. */
export function* ownersOf(
  image: Qcow2Image,
  { offset, bytes }: InspectedRange,
  tell: (cluster: HostCluster) => void,
): Steps<void> {
  const view = new MetadataView(image);
  const first = image.clusterIndexOf(offset);
  const end = image.clustersFor(offset + bytes);
  const found = new Map<number, Map<string, Found>>();
  const add = (reference: Reference, side: Side): void => {
    for (const cluster of clustersOf(image, reference)) {
      if (cluster < first || cluster >= end) continue;
      const owners = found.get(cluster) ?? new Map<string, Found>();
      found.set(cluster, owners);
      const { owner, snapshot, guest, entryAt } = reference;
      const key = [owner, snapshot, guest, entryAt, reference.offset].join();
      const known = owners.get(key) ?? { ...reference, memory: false, disk: false };
      if (side !== 'disk') known.memory = true;
      if (side !== 'memory') known.disk = true;
      owners.set(key, known);
    }
  };
  yield* eachReference(view, add);
  if (!image.hasDataFile) for (const reference of pendingReferences(image)) add(reference, 'memory');
  view.forget();
  for (let cluster = first; cluster < end; cluster++) {
    const { memory, disk } = yield* view.refcount(cluster);
    tell({
      offset: cluster * image.clusterBytes,
      bytes: image.clusterBytes,
      refcount: memory,
      diskRefcount: disk,
      owners: [...(found.get(cluster)?.values() ?? [])].map(ownerOf),
    });
  }
}

function ownerOf({ memory, disk, ...owner }: Found): Owner {
  return { ...owner, known: memory && disk ? 'both' : memory ? 'memory' : 'disk' };
}

/** The clusters that writes in flight have taken and not yet entered into the L2 table. */
function pendingReferences(image: Qcow2Image): Reference[] {
  const updates = image.pendingUpdates.touching(0 as GuestOffset, Number.MAX_SAFE_INTEGER);
  return updates.map(({ owner, guest, host, clusterCount, keepsOldClusters }) => ({
    owner: `${keepsOldClusters ? 'written' : 'taken'} by ${owner === null ? 'a write' : requestName(owner.operation, owner.id)}`,
    snapshot: null,
    guest,
    offset: host,
    bytes: clusterCount * image.clusterBytes,
    entryAt: null,
  }));
}
