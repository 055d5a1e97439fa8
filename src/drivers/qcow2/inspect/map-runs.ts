/** The runs of the guest's disk, as `map -v` lists them: by subclusters, joined where they lie in a row. */
import { BlockError } from '../../../block/error.ts';
import type { BlockNode } from '../../../block/graph/node.ts';
import type { InspectedRange, MapRun } from '../../../block/inspect.ts';
import type { Steps } from '../../../util/steps.ts';
import { Subcluster } from '../format/l2-entry.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { nextCovered } from '../refcounts/used-clusters.ts';
import { type L2Entry, readL2Entry, subclusterOf } from './entries.ts';
import { l2OffsetAt, MetadataView, type TwoSided } from './view.ts';

/** Tells of the runs of a guest range, in order and without a gap. */
export function* mapRuns(image: Qcow2Image, range: InspectedRange, tell: (run: MapRun) => void): Steps<void> {
  const view = new MetadataView(image);
  const mayBeHole = image.isPreallocated ?? (yield* looksPreallocated(view));
  const runs = new Joined(tell);
  const covers = image.l2Entries * image.clusterBytes;
  const l1 = yield* view.l1();
  const end = range.offset + range.bytes;
  for (let offset = range.offset; offset < end; ) {
    yield image.loop.breathe();
    const table = Math.floor(offset / covers);
    const tableEnd = Math.min(end, (table + 1) * covers);
    const l2Offset = l2OffsetAt(l1.memory, table);
    if (l2Offset === 0) {
      runs.add({ ...nothing, offset, bytes: tableEnd - offset });
    } else {
      const isNewTable = l2OffsetAt(l1.disk, table) !== l2Offset;
      addTable(image, yield* view.l2(l2Offset), { offset, bytes: tableEnd - offset }, mayBeHole, isNewTable, runs);
    }
    offset = tableEnd;
  }
  runs.end();
}

const nothing = { kind: 'unallocated', host: null, node: null, isPending: false, mayBeHole: false } as const;

/** Joins runs that continue each other. */
class Joined {
  readonly #tell: (run: MapRun) => void;
  #last: MapRun | null = null;

  constructor(tell: (run: MapRun) => void) {
    this.#tell = tell;
  }

  add(run: MapRun): void {
    const last = this.#last;
    if (last === null) {
      this.#last = run;
      return;
    }
    const follows = last.host === null ? run.host === null : last.host + last.bytes === run.host;
    const isAlike = last.kind === run.kind && last.isPending === run.isPending && run.kind !== 'compressed';
    if (isAlike && follows) {
      this.#last = { ...last, bytes: last.bytes + run.bytes };
    } else {
      this.#tell(last);
      this.#last = run;
    }
  }

  end(): void {
    if (this.#last !== null) this.#tell(this.#last);
  }
}

function addTable(
  image: Qcow2Image,
  l2: TwoSided,
  { offset, bytes }: InspectedRange,
  mayBeHole: boolean,
  isNewTable: boolean,
  runs: Joined,
): void {
  const step = image.subclusterBytes;
  for (let at = offset; at < offset + bytes; ) {
    const index = image.clusterIndexOf(at) % image.l2Entries;
    const entry = readL2Entry(image, l2.memory, index);
    const position = index * image.l2EntryBytes;
    const isSame =
      l2.memory.compare(l2.disk, position, position + image.l2EntryBytes, position, position + image.l2EntryBytes) ===
      0;
    const stepEnd = Math.min(offset + bytes, at - (at % step) + step);
    const state = stateOf(image, entry, at);
    const isPending = state.kind !== 'unallocated' && (isNewTable || !isSame);
    runs.add({ ...state, offset: at, bytes: stepEnd - at, isPending, mayBeHole: mayBeHole && state.kind === 'data' });
    at = stepEnd;
  }
}

function stateOf(
  image: Qcow2Image,
  entry: L2Entry,
  at: number,
): { kind: MapRun['kind']; host: number | null; node: BlockNode | null } {
  const { node } = image.dataFile;
  const host = (entry.host ?? 0) + image.intoCluster(at);
  switch (subclusterOf(image, entry, image.subclusterIndexOf(at))) {
    case Subcluster.NORMAL:
      return { kind: 'data', host, node };
    case Subcluster.ZERO_ALLOC:
      return { kind: 'zero', host, node };
    case Subcluster.ZERO_PLAIN:
      return { kind: 'zero', host: null, node: null };
    case Subcluster.COMPRESSED:
      return { kind: 'compressed', host: null, node: null };
    case Subcluster.UNALLOCATED_ALLOC:
      return { kind: 'unallocated', host, node };
    default:
      return { kind: 'unallocated', host: null, node: null };
  }
}

/** As block status decides it (`data/status.ts`), from what is on disk. */
function* looksPreallocated(view: MetadataView): Steps<boolean> {
  const { image } = view;
  try {
    const { node } = image.file;
    let below = node;
    while (below.driver.getAllocatedBytes === undefined && below.filteredChild !== null)
      below = below.filteredChild.node;
    const bytes = below.driver.getAllocatedBytes?.(below) ?? null;
    if (bytes === null) return false;
    const real = Math.floor(bytes / image.clusterBytes);
    const threshold = Math.max(Math.floor((real * 10) / 9), real + 2);
    const end = image.clustersFor(node.getLength());
    let counted = 0;
    for (let cluster = 0; counted < threshold; cluster++) {
      cluster = nextCovered(image, cluster, end);
      if (cluster >= end) break;
      if (((yield* view.refcount(cluster)).memory ?? 0) !== 0) counted += 1;
    }
    return counted >= threshold;
  } catch (error) {
    if (error instanceof BlockError) return false;
    throw error;
  }
}
