/** The VM state, a second address space that some formats keep behind the guest's data. */
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkRequest } from './check.ts';

type Method = 'loadVmState' | 'saveVmState';

/** Reads VM state from the first node, down from this one, whose driver has one; ENOTSUP if none has. */
export function loadVmState(node: BlockNode, offset: number, data: Buffer): Pending {
  return run(transfer(node, 'loadVmState', offset, data));
}

/** Writes VM state; see `loadVmState`. */
export function saveVmState(node: BlockNode, offset: number, data: Buffer): Pending {
  return run(transfer(node, 'saveVmState', offset, data));
}

function* transfer(node: BlockNode, method: Method, offset: number, data: Buffer): Steps<void> {
  checkRequest(node, offset, data.length);
  node.inFlight += 1;
  try {
    const { driver, primaryChild } = node;
    if (driver[method] !== undefined) yield driver[method](node, offset, data);
    else if (primaryChild === null) throw new BlockError(Errno.ENOTSUP);
    else yield* transfer(primaryChild.node, method, offset, data);
  } finally {
    node.inFlight -= 1;
  }
}
