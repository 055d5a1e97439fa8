/** The work of `diff`: copies of the metadata, one before each command, and what has changed since the last one. */
import { BlockError } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import type { MetadataChange, Field, MetadataCopy, Row } from '../../block/inspect.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending } from '../../util/steps.ts';
import { Listing } from '../output/listing.ts';
import type { SessionState } from '../session-state.ts';
import { inspected } from './choose.ts';

export const changeFields: readonly Field[] = [
  { key: 'structure', title: 'STRUCTURE', help: 'header, "refcount table", refcount, l1, l2, snapshots or bitmaps' },
  { key: 'which', title: 'WHICH', help: 'the entry: its guest or host offset, its field, number or name' },
  { key: 'at', title: 'AT', unit: 'offset', help: 'where it is in the file; null for what has no fixed place' },
  { key: 'before', title: 'BEFORE', help: 'its value in memory before' },
  { key: 'now', title: 'NOW', help: 'its value in memory now' },
  { key: 'diskBefore', title: 'ON DISK BEFORE', help: 'its value on disk before', isExact: true },
  { key: 'disk', title: 'ON DISK', unlessAs: 'now', help: 'its value on disk now' },
  { key: 'written', title: 'WRITTEN', help: 'whether the disk says what memory says' },
];

/** Copies of more metadata are refused. */
const MAX_COPY_BYTES = 1 << 26;

/** How `diff` compares. */
export interface DiffOptions {
  readonly json: boolean;
  /** Compare with now from here on, whatever commands run. */
  readonly marks: boolean;
  /** Keep no copies any more. */
  readonly ends: boolean;
}

/** A copy, and the node that it is of. */
interface Baseline {
  readonly node: BlockNode;
  readonly copy: MetadataCopy;
}

const baselines = new WeakMap<SessionState, Baseline>();

/** Prints what has changed since the copy, or begins to keep copies. */
export async function showChanges(session: SessionState, { json, marks, ends }: DiffOptions): Promise<void> {
  if (ends) {
    session.beforeCommand = null;
    baselines.delete(session);
    return;
  }
  const { node, inspector } = await inspected(session, null);
  if (inspector.structures.length === 0) {
    throw new BlockError(Errno.ENOTSUP, `${node.driver.formatName} has no metadata that could change`);
  }
  const before = baselines.get(session);
  const now = await inspector.copy(MAX_COPY_BYTES);
  if (marks || before?.node !== node) {
    baselines.set(session, { node, copy: now });
    session.beforeCommand = marks ? null : () => keepCopy(session);
    if (json) session.output.stdout('[]\n');
    else
      session.hint(
        marks ? 'diff compares with this moment from now on' : 'from now on diff shows what the last command changed',
      );
    return;
  }
  const listing = new Listing(session, changeFields, { json, none: 'nothing has changed' });
  await inspector.changes(before.copy, now, (change) => listing.add(rowOf(change)));
  listing.end();
}

function rowOf(change: MetadataChange): Row {
  return { ...change, written: change.now === change.disk };
}

/** Takes the copy that `diff` compares with behind the command that is about to run. Without an image there is none. */
function keepCopy(session: SessionState): Pending {
  if (session.backend === null) {
    baselines.delete(session);
    return undefined;
  }
  const ended = session.loop.run('diff', async () => {
    try {
      const { node, inspector } = await inspected(session, null);
      baselines.set(session, { node, copy: await inspector.copy(MAX_COPY_BYTES) });
    } catch (error) {
      // Then diff itself will say why.
      if (!(error instanceof BlockError)) throw error;
      baselines.delete(session);
    }
  });
  return ended === true ? undefined : ended.then(() => {});
}
