/** The detector of a qcow2 image over a node with rules: the places in use, and the order of writes. */
import { debugNode } from '../debug/port.ts';
import type { BlockNode } from '../graph/node.ts';
import { FlushOrder } from './flush-order.ts';
import { Places } from './places.ts';

/** Both parts of the detector of one image. */
export class ImageHazards {
  readonly places: Places;
  readonly order: FlushOrder;

  /** `node` is the one with rules; it tells the detector of its faults from now on. */
  constructor(node: BlockNode) {
    this.places = new Places(node);
    this.order = new FlushOrder(node);
    node.watch = this.order;
  }
}

/** The detector of an image whose file is `file`; null without rules there. */
export function hazardsOver(file: BlockNode): ImageHazards | null {
  const node = debugNode(file);
  return node === null ? null : new ImageHazards(node);
}
