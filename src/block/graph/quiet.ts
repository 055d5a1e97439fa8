/** Making nodes quiet: what they have put off is done, and what their requests wait for comes at once. */
import { assert } from '../../util/assert.ts';
import { subtree } from './chain.ts';
import type { BlockNode } from './node.ts';

/** Tells a node and those below it that they are to be quiet. Returns those to be told when that is over. */
export async function beginQuiet(top: BlockNode): Promise<readonly BlockNode[]> {
  const nodes = subtree([top]);
  for (const node of nodes) {
    if (node.driver.drainBegin === undefined) continue;
    await node.loop.run('drain', () => node.driver.drainBegin?.(node));
  }
  return nodes;
}

/** Tells the nodes of `beginQuiet` that it is over. */
export function endQuiet(nodes: readonly BlockNode[]): void {
  for (const node of nodes) node.driver.drainEnd?.(node);
}

/** Lets requests that a node holds back go on at once: the node is about to be closed. */
export function releaseHeld(top: BlockNode): void {
  for (const node of subtree([top])) {
    if (node.driver.drainEnd === undefined) continue;
    const waiting = node.driver.drainBegin?.(node);
    assert(waiting === undefined, 'a driver that holds requests back lets them go at once');
  }
}
