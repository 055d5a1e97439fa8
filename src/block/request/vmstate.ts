/** The VM state, a second address space that some formats keep behind the guest's data. */
import { Errno } from '../../util/errno.ts';
import { BlockError } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkRange } from './check.ts';

/** Reads VM state from the first node, down from this one, whose driver has one; ENOTSUP if none has. */
export async function loadVmState(node: BlockNode, offset: number, data: Buffer): Promise<void> {
  checkRange(offset, data.length);
  node.inFlight += 1;
  try {
    if (node.driver.loadVmState !== undefined) await node.driver.loadVmState(node, offset, data);
    else await loadVmState(primaryOrRefuse(node), offset, data);
  } finally {
    node.inFlight -= 1;
  }
}

/** Writes VM state; see `loadVmState`. */
export async function saveVmState(node: BlockNode, offset: number, data: Buffer): Promise<void> {
  checkRange(offset, data.length);
  node.inFlight += 1;
  try {
    if (node.driver.saveVmState !== undefined) await node.driver.saveVmState(node, offset, data);
    else await saveVmState(primaryOrRefuse(node), offset, data);
  } finally {
    node.inFlight -= 1;
  }
}

function primaryOrRefuse(node: BlockNode): BlockNode {
  const primary = node.primaryChild;
  if (primary === null) throw new BlockError(Errno.ENOTSUP);
  return primary.node;
}
