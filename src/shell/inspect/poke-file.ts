/** The work of `poke`: a write to the lowest file, which nothing above it takes note of. */
import { BlockError } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { inspectedNode } from '../../block/inspect.ts';
import { peek } from '../../block/request/peek.ts';
import { alignDown, alignUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import type { SessionState } from '../session-state.ts';
import { namedOrTop } from './choose.ts';

/** Writes bytes into the file below a node, and prints what was there and what is. */
export async function pokeFile(
  session: SessionState,
  name: string | null,
  offset: number,
  bytes: Buffer,
): Promise<void> {
  const file = fileBelow(inspectedNode(namedOrTop(session, name)));
  if (file.isReadOnly) throw new BlockError(Errno.EROFS, `the file of node '${file.nodeName}' is open read-only`);
  if (offset + bytes.length > file.getLength()) {
    throw new BlockError(
      Errno.EINVAL,
      `the range ends behind the end of the file, which is ${file.getLength()} bytes long`,
    );
  }
  const align = file.limits.requestAlignment;
  const start = alignDown(offset, align);
  const block = Buffer.alloc(alignUp(offset + bytes.length, align) - start);
  await run(peek(file, start, block));
  const before = Buffer.from(block.subarray(offset - start, offset - start + bytes.length));
  bytes.copy(block, offset - start);
  await file.driver.pwritev?.(file, start, block, 0);
  const place = session.output.isTerminal ? `0x${offset.toString(16)}` : String(offset);
  session.output.stdout(`${place}\t${before.toString('hex')}\t${bytes.toString('hex')}\n`);
}

/** The node below that reads and writes a file itself. */
function fileBelow(node: BlockNode): BlockNode {
  let below = node;
  while (below.primaryChild !== null) below = below.primaryChild.node;
  return below;
}
