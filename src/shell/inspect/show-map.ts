/** The work of `map -v`: what each run of the disk is, where it lies, and in which file of the chain. */
import { Status } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import {
  type Field,
  inspectedNode,
  type InspectedRange,
  type Inspector,
  inspectorOf,
  type MapRun,
} from '../../block/inspect.ts';
import { Listing } from '../output/listing.ts';
import type { SessionState } from '../session-state.ts';
import { inspected, rangeOf } from './choose.ts';

export const mapFields: readonly Field[] = [
  { key: 'start', title: 'START', unit: 'offset', help: 'where the run begins on the disk' },
  { key: 'length', title: 'LENGTH', unit: 'bytes', help: 'how long it is' },
  { key: 'state', title: 'STATE', help: 'data, zero, compressed, or unallocated: in no file of the chain' },
  { key: 'depth', title: 'DEPTH', help: 'in which file of the chain it is: 0 the image, 1 its backing file, …' },
  { key: 'present', title: 'PRESENT', help: 'whether a file of the chain says what is there', isExact: true },
  { key: 'zero', title: 'ZERO', help: 'whether it is known to read as zeroes', isExact: true },
  { key: 'data', title: 'DATA', help: 'whether it is stored as data', isExact: true },
  {
    key: 'offset',
    title: 'OFFSET',
    unit: 'offset',
    help: 'where it begins in the file of `node`; null if it has no place',
  },
  { key: 'node', title: 'NODE', help: 'the node that holds it; null if it has no place' },
  { key: 'pending', title: 'PENDING', help: 'whether the tables on disk do not say so yet' },
];

/** A run as a row. The first seven of its keys, and the offset, are those of `qemu-img map --output=json`. */
interface MapRow {
  readonly start: number;
  readonly length: number;
  readonly state: MapRun['kind'];
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset: number | null;
  readonly node: string | null;
  readonly pending: boolean;
}

/** Prints the runs of the disk. */
export async function showMap(
  session: SessionState,
  operands: readonly string[],
  { json, node: name }: { json: boolean; node: string | null },
): Promise<void> {
  const { node, inspector } = await inspected(session, name);
  const range = rangeOf(session, operands, node.getLength(), 'disk');
  const listing = new Listing(session, mapFields, { json, none: 'the disk has no length' });
  let last: MapRow | null = null;
  const tell = (row: MapRow): void => {
    const joined: MapRow | null = last === null ? null : join(last, row);
    if (joined === null && last !== null) listing.add({ ...last });
    last = joined ?? row;
  };
  if (range.bytes > 0) await mapNode({ node, inspector, depth: 0 }, range, tell);
  if (last !== null) listing.add({ ...(last as MapRow) });
  listing.end();
}

/** Both as one run; null if the second does not continue the first. */
function join(first: MapRow, second: MapRow): MapRow | null {
  const keys = ['state', 'depth', 'present', 'zero', 'data', 'node', 'pending'] as const;
  if (keys.some((key) => first[key] !== second[key])) return null;
  if (first.offset === null ? second.offset !== null : first.offset + first.length !== second.offset) return null;
  return { ...first, length: first.length + second.length };
}

/** A node of the chain. */
interface Layer {
  readonly node: BlockNode;
  readonly inspector: Inspector;
  readonly depth: number;
}

async function mapNode(layer: Layer, range: InspectedRange, tell: (row: MapRow) => void): Promise<void> {
  const runs: MapRun[] = [];
  await layer.inspector.map(range, (run) => runs.push(run));
  for (const run of runs) {
    if (run.kind === 'unallocated') await mapBelow(layer, run, tell);
    else if (run.mayBeHole) await mapHoles(layer, run, tell);
    else tell(rowOf(layer, run, run));
  }
}

function rowOf({ depth }: Layer, run: MapRun, { offset, bytes }: InspectedRange, flags: Partial<MapRow> = {}): MapRow {
  const { kind, host, node, isPending } = run;
  return {
    start: offset,
    length: bytes,
    state: kind,
    depth,
    present: kind !== 'unallocated',
    zero: kind === 'zero' || kind === 'unallocated',
    data: kind === 'data' || kind === 'compressed',
    offset: host === null ? null : host + offset - run.offset,
    node: node === null ? null : inspectedNode(node).nodeName,
    pending: isPending,
    ...flags,
  };
}

/** The backing file says what is there, as far as it reaches. */
async function mapBelow(layer: Layer, run: MapRun, tell: (row: MapRow) => void): Promise<void> {
  const backing = layer.node.backing === null ? null : inspectedNode(layer.node.backing.node);
  const covered = backing === null ? 0 : Math.min(run.bytes, Math.max(0, backing.getLength() - run.offset));
  if (backing !== null && covered > 0) {
    const below = { node: backing, inspector: await inspectorOf(backing), depth: layer.depth + 1 };
    await mapNode(below, { offset: run.offset, bytes: covered }, tell);
  }
  if (covered < run.bytes) tell(rowOf(layer, run, { offset: run.offset + covered, bytes: run.bytes - covered }));
}

/** Splits a run of data at the holes of a file of the host. */
async function mapHoles(layer: Layer, run: MapRun, tell: (row: MapRow) => void): Promise<void> {
  const file = run.node === null ? null : inspectedNode(run.node);
  if (file?.driver.hostFile === undefined || file.driver.blockStatus === undefined || run.host === null) {
    tell(rowOf(layer, run, run));
    return;
  }
  // A raw node has nothing to say itself; a format's own word "data" stays beside what its file says.
  const keepsData = layer.node.cowChild !== null || layer.node.driver.supportsBacking === true;
  for (let offset = run.offset; offset < run.offset + run.bytes; ) {
    const rest = run.offset + run.bytes - offset;
    const { flags, bytes } = await file.driver.blockStatus(file, true, run.host + offset - run.offset, rest);
    const part = { offset, bytes: Math.min(bytes, rest) };
    const isHole = (flags & Status.ZERO) !== 0;
    tell(rowOf(layer, run, part, isHole ? { state: 'zero', zero: true, data: keepsData } : {}));
    offset += part.bytes;
  }
}
