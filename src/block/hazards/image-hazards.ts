/** The detector of a qcow2 image over a node with rules: the places in use, and the order of writes. */
import type { BlockNode } from '../graph/node.ts';
import { FlushOrder } from './flush-order.ts';
import { Places } from './places.ts';

/** The parts of the detector of one image. */
export class ImageHazards {
  /** Of the image file. */
  readonly places: Places;
  /** Of the file with the guest's data: those of the image file, unless it has one of its own. */
  readonly data: Places;
  readonly order: FlushOrder;

  /** The nodes hold the image file and the guest's data. They tell the detector of their faults from now on. */
  constructor(node: BlockNode, dataNode: BlockNode) {
    this.places = new Places(node, 'file');
    this.data = dataNode === node ? this.places : new Places(dataNode, 'data file');
    this.order = new FlushOrder(node, dataNode);
    if (dataNode !== node) dataNode.watch = this.order.dataWatch;
    node.watch = this.order;
  }
}
