/** The work of `who`: the owners of clusters of the file. */
import type { Field, HostCluster, Row } from '../../block/inspect.ts';
import { Listing } from '../output/listing.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument } from '../words/arguments.ts';
import { fileLength, inspected, rangeOf } from './choose.ts';

export const whoFields: readonly Field[] = [
  { key: 'host', title: 'HOST', unit: 'offset', help: 'where the cluster is in the file' },
  { key: 'bytes', title: 'BYTES', unit: 'bytes', help: 'how long it is', isExact: true },
  { key: 'refcount', title: 'REFS', help: 'its refcount in memory; null where none is kept' },
  { key: 'disk', title: 'ON DISK', unlessAs: 'refcount', help: 'its refcount on disk' },
  {
    key: 'owner',
    title: 'OWNER',
    help: 'header, l1 table, l2 table, refcount table, refcount block, data, compressed data, snapshot table, luks header, bitmap directory, bitmap table, bitmap data, "taken by" a request in flight; null for none',
  },
  { key: 'snapshot', title: 'SNAPSHOT', help: 'the number of the snapshot that the owner belongs to; null for none' },
  { key: 'guest', title: 'GUEST', unit: 'offset', help: 'the guest offset that it is for; null for what has none' },
  { key: 'entry', title: 'ENTRY AT', unit: 'offset', help: 'where the entry that refers to it is in the file' },
  { key: 'known', title: 'KNOWN', help: 'which state of the metadata says so: both, memory or disk' },
];

/** Prints the owners of the clusters of a range of the file. */
export async function showOwners(
  session: SessionState,
  operands: readonly string[],
  { json, node: name }: { json: boolean; node: string | null },
): Promise<void> {
  const { node, inspector } = await inspected(session, name);
  // Refcounts reach behind the end of the file: a cluster there can be taken already.
  const asked = Number(sizeArgument(session, operands[0] ?? ''));
  const range = rangeOf(session, operands, Math.max(fileLength(node), asked + 1), 'file');
  const listing = new Listing(session, whoFields, { json, none: '' });
  await inspector.who(range, (cluster) => {
    for (const row of rowsOf(cluster)) listing.add(row);
  });
  listing.end();
}

/** A row for each owner; one for a cluster without any. */
function rowsOf({ offset, bytes, refcount, diskRefcount, owners }: HostCluster): Row[] {
  const cluster = { host: offset, bytes, refcount, disk: diskRefcount };
  if (owners.length === 0) return [{ ...cluster, owner: null, snapshot: null, guest: null, entry: null, known: null }];
  return owners.map(({ owner, snapshot, guest, entryAt, known }) => ({
    ...cluster,
    owner,
    snapshot,
    guest,
    entry: entryAt,
    known,
  }));
}
