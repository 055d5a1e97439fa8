/** The work of `dump`: one table of the metadata, entry by entry. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { usage } from '../failure.ts';
import { Listing } from '../output/listing.ts';
import type { SessionState } from '../session-state.ts';
import { fileLength, inspected, rangeOf } from './choose.ts';

/** Prints the rows of a structure. */
export async function showStructure(
  session: SessionState,
  [name, ...range]: readonly string[],
  { json, node: nodeName }: { json: boolean; node: string | null },
): Promise<void> {
  const { node, inspector } = await inspected(session, nodeName);
  const structure = inspector.structures.find((candidate) => candidate.name === name);
  if (structure === undefined) {
    const names = inspector.structures.map((candidate) => candidate.name).join(', ');
    const known = names === '' ? 'has none' : `has ${names}`;
    throw new BlockError(Errno.EINVAL, `${node.driver.formatName} has no table '${name}'; it ${known}`);
  }
  if (structure.range === undefined && range.length > 0) throw usage();
  const [length, what] = structure.range === 'host' ? [fileLength(node), 'file'] : [node.getLength(), 'disk'];
  const listing = new Listing(session, structure.fields, { json, none: `nothing is in use here` });
  await structure.rows(rangeOf(session, range, length, what), (row) => listing.add(row));
  listing.end();
}
