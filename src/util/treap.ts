/** Treaps: binary search trees that priorities keep shallow. What their nodes know of those below them is their own. */

/** A node; its children are of the same kind. */
export interface TreapNode<Node> {
  left: Node | null;
  right: Node | null;
  /** That of a parent is at least that of its children. */
  readonly priority: number;
  /** Counts anew what is known of the nodes below, after those have changed. */
  update(): void;
}

/** The priority of the node with this number, 0 and up: scattered, and the same in every run. */
export function treapPriority(number: number): number {
  return Math.imul(number + 1, 0x9e37_79b1) >>> 0;
}

/** One treap of two, of which every node of the first comes before those of the second. */
export function joinTreaps<Node extends TreapNode<Node>>(before: Node | null, behind: Node | null): Node | null {
  if (before === null || behind === null) return before ?? behind;
  if (before.priority > behind.priority) {
    before.right = joinTreaps(before.right, behind);
    before.update();
    return before;
  }
  behind.left = joinTreaps(before, behind.left);
  behind.update();
  return behind;
}
