/** The nodes below others: chains of backing files, in which filters do not count, and all of them. */
import type { BlockNode } from './node.ts';

/** The first node from `start` down that is no filter; null below the last one. */
function skipFilters(start: BlockNode | null): BlockNode | null {
  let node = start;
  while (node !== null && node.filteredChild !== null) node = node.filteredChild.node;
  return node;
}

/** The next node of the chain below `node`, filters left out; null if there is none. */
export function backingBelow(node: BlockNode): BlockNode | null {
  return skipFilters(skipFilters(node)?.cowChild?.node ?? null);
}

/** Whether `node` is `top`, or in the chain below it; filters count. */
export function isInChain(top: BlockNode, node: BlockNode): boolean {
  for (let one: BlockNode | null = top; one !== null; one = one.filterOrCowChild?.node ?? null) {
    if (one === node) return true;
  }
  return false;
}

/** All nodes reachable from `roots`, parents before their children. */
export function subtree(roots: readonly BlockNode[]): BlockNode[] {
  const found = new Set<BlockNode>();
  const finished: BlockNode[] = [];
  const visit = (node: BlockNode): void => {
    if (found.has(node)) return;
    found.add(node);
    for (const child of node.children) visit(child.node);
    finished.push(node);
  };
  for (const root of roots) visit(root);
  return finished.reverse();
}
