/** The work of `where`: the way of a guest offset through all nodes, to a file of the host. */
import type { BlockNode } from '../../block/graph/node.ts';
import { type Field, inspectedNode, inspectorOf, type Row } from '../../block/inspect.ts';
import { Status } from '../../block/flags.ts';
import { isPromise } from '../../util/steps.ts';
import { Listing } from '../output/listing.ts';
import type { SessionState } from '../session-state.ts';
import { type Inspected, inspected, rangeOf } from './choose.ts';

export const whereFields: readonly Field[] = [
  { key: 'node', title: 'NODE', help: 'the node that the step is taken in; `nodes` lists them' },
  { key: 'step', title: 'STEP', help: 'l1, l2, refcount, pending, data, zero, compressed, unallocated, file' },
  {
    key: 'index',
    title: 'INDEX',
    help: 'the index of the entry in its table, or of the cluster that a refcount counts',
  },
  { key: 'at', title: 'AT', unit: 'offset', help: 'where the entry, or the data, is in the file of this node' },
  { key: 'entry', title: 'ENTRY', help: 'the entry as it is in memory; null for a step without one' },
  { key: 'disk', title: 'ON DISK', unlessAs: 'entry', help: 'the entry at this place on disk' },
  {
    key: 'cache',
    title: 'CACHE',
    help: 'the table with the entry: none, clean or dirty; null for what is not cached so',
  },
  { key: 'meaning', title: 'MEANING', help: 'the entry in words' },
];

/** Prints the way of one guest offset. */
export async function showWay(
  session: SessionState,
  operands: readonly string[],
  { json, node: name }: { json: boolean; node: string | null },
): Promise<void> {
  const start = await inspected(session, name);
  const { offset } = rangeOf(session, operands, start.node.getLength(), 'disk');
  const listing = new Listing(session, whereFields, { json, none: '' });
  const last = await followWay(start, offset, (row) => listing.add(row));
  if (last !== null) listing.add(await hostRow(last.node, last.offset));
  listing.end();
}

/** Follows the way as far as inspectors know it; the rest of it, if it goes on. */
async function followWay(
  start: Inspected,
  guest: number,
  tell: (row: Row) => void,
): Promise<{ node: BlockNode; offset: number } | null> {
  let { node, inspector } = start;
  let offset = guest;
  for (;;) {
    const { steps, next } = await inspector.where(offset);
    for (const step of steps) tell({ node: node.nodeName, ...step });
    if (next === null) return null;
    const below = inspectedNode(next.node);
    if (below.driver.inspector === undefined) return { node: below, offset: next.offset };
    node = below;
    offset = next.offset;
    inspector = await inspectorOf(node);
  }
}

/** The end of the way: data or a hole of a file of the host. */
async function hostRow(node: BlockNode, offset: number): Promise<Row> {
  const meaning = await hostMeaning(node, offset);
  return { node: node.nodeName, step: 'file', index: null, at: offset, entry: null, disk: null, cache: null, meaning };
}

async function hostMeaning(node: BlockNode, offset: number): Promise<string> {
  const where = `of ${node.filename}`;
  if (offset >= node.getLength()) return `behind the end ${where}`;
  // Only for a file of the host the question costs no request.
  if (node.driver.hostFile === undefined || node.driver.blockStatus === undefined) return where;
  const answer = node.driver.blockStatus(node, true, offset, 1);
  const { flags } = isPromise(answer) ? await answer : answer;
  return `${(flags & Status.DATA) === 0 ? 'a hole' : 'data'} ${where}`;
}
