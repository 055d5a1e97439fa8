/** The node and the range that a command of inspection is about. */
import { BlockError } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { inspectedNode, type InspectedRange, type Inspector, inspectorOf } from '../../block/inspect.ts';
import { Errno } from '../../util/errno.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument } from '../words/arguments.ts';

/** A node with its inspector. */
export interface Inspected {
  readonly node: BlockNode;
  readonly inspector: Inspector;
}

/** The node of a name, or the image; as messages and rows call it, its label. ENOENT for an unknown name. */
export async function inspected(session: SessionState, name: string | null): Promise<Inspected> {
  const node = inspectedNode(namedOrTop(session, name));
  return { node, inspector: await inspectorOf(node) };
}

/** The node of a name, or the top node. ENOENT for an unknown name. */
export function namedOrTop(session: SessionState, name: string | null): BlockNode {
  return name === null ? session.top : namedNode(session, name);
}

function namedNode({ top }: SessionState, name: string): BlockNode {
  const find = (node: BlockNode): BlockNode | null => {
    if (node.nodeName === name) return node;
    for (const { node: child } of node.children) {
      const found = find(child);
      if (found !== null) return found;
    }
    return null;
  };
  const node = find(top);
  if (node === null) throw new BlockError(Errno.ENOENT, `there is no node '${name}'; "nodes" lists them`);
  return node;
}

/** The range that the operands say, cut at `length`; all of it without any. EINVAL for one behind the end. */
export function rangeOf(
  session: SessionState,
  operands: readonly string[],
  length: number,
  what: string,
): InspectedRange {
  const [offsetText, bytesText] = operands;
  if (offsetText === undefined) return { offset: 0, bytes: length };
  const offset = Number(sizeArgument(session, offsetText));
  if (offset >= length) {
    session.error(`offset ${offset} is behind the end of the ${what}, which is ${length} bytes long`);
    throw new CommandFailure(Errno.EINVAL);
  }
  const bytes = bytesText === undefined ? 1 : Number(sizeArgument(session, bytesText));
  return { offset, bytes: Math.min(Math.max(1, bytes), length - offset) };
}

/** The length in bytes of the file that a node keeps its metadata in. */
export function fileLength(node: BlockNode): number {
  return node.file?.node.getLength() ?? 0;
}
