/** Conditions on where something happens: `offset=A..B` and `node=NAME`. Both are ours, not QEMU's. */
import { BlockError } from '../../../block/error.ts';
import type { BlockNode } from '../../../block/graph/node.ts';
import { Errno } from '../../../util/errno.ts';
import { parseSize } from '../../../util/size.ts';
import type { BlkdebugNode } from '../state.ts';
import type { EventCondition, IoType, RequestCondition } from './condition.ts';

/** A range of bytes, with the text that it was written as. */
export class ByteRange {
  readonly #from: number;
  readonly #to: number;
  readonly #text: string;

  private constructor(from: number, to: number, text: string) {
    this.#from = from;
    this.#to = to;
    this.#text = text;
  }

  /** "A..B", from A to before B, in the shell's notations of sizes. EINVAL for anything else and for an empty range. */
  static parse(text: string): ByteRange {
    const dots = text.indexOf('..');
    const from = parseSize(text.slice(0, Math.max(0, dots)));
    const to = parseSize(text.slice(dots + 2));
    if (dots < 0 || typeof from === 'string' || typeof to === 'string' || from >= to) {
      throw new BlockError(Errno.EINVAL, `'offset' expects a range of bytes A..B, not '${text}'`);
    }
    // No image reaches to where a double is not exact.
    return new ByteRange(Number(from), Number(to), text);
  }

  /** Whether a request of `bytes` at `offset` has a byte in it. */
  touches(offset: number, bytes: number): boolean {
    return bytes > 0 && offset < this.#to && this.#from < offset + bytes;
  }

  toString(): string {
    return this.#text;
  }
}

/** For inject-error: requests to the node below that touch the range; the bytes that `sector` counts, too. */
export class RequestOffsetCondition implements RequestCondition {
  readonly name = 'offset';
  readonly #range: ByteRange;

  constructor(range: ByteRange) {
    this.#range = range;
  }

  holds(_ioType: IoType, offset: number, bytes: number): boolean {
    return this.#range.touches(offset, bytes);
  }

  toString(): string {
    return `offset=${this.#range.toString()}`;
  }

  unmet(): string {
    return `does not touch bytes ${this.#range.toString()}`;
  }
}

/** For rules that act on the event itself, which has no offset: the user's request touches the range of the image. */
export class EventOffsetCondition implements EventCondition {
  readonly name = 'offset';
  readonly #range: ByteRange;

  constructor(range: ByteRange) {
    this.#range = range;
  }

  holds({ loop: { current } }: BlkdebugNode): boolean {
    return current?.offset !== undefined && this.#range.touches(current.offset, current.bytes ?? 0);
  }

  toString(): string {
    return `offset=${this.#range.toString()}`;
  }

  unmet(): string {
    return `the request does not touch bytes ${this.#range.toString()}`;
  }
}

/**
 * Only for a request of the user with a range (a read, write, discard or truncate) that has come through this node, or
 * through one with this driver: `node=qcow2` leaves out what qcow2 does by itself when it opens, flushes and closes.
 */
export class NodeCondition implements EventCondition {
  readonly name = 'node';
  readonly #wanted: string;

  private constructor(wanted: string) {
    this.#wanted = wanted;
  }

  /** EINVAL if no node above `node` is called so. */
  static parse(name: string, node: BlkdebugNode): NodeCondition {
    if (!isBelow(node, name)) {
      throw new BlockError(Errno.EINVAL, `'node' expects a node or driver above the rules, not '${name}'`);
    }
    return new NodeCondition(name);
  }

  /** What has a range began at the top, and everything on the way from there has passed every node above this one. */
  holds(node: BlkdebugNode): boolean {
    return node.loop.current?.offset !== undefined && isBelow(node, this.#wanted);
  }

  toString(): string {
    return `node=${this.#wanted}`;
  }

  unmet(): string {
    return `not in a request that came through ${this.#wanted}`;
  }
}

/** Whether a node or driver of this name is above `node`. */
function isBelow(node: BlockNode, name: string): boolean {
  return node.parents.some(({ parent: { node: above } }) => {
    if (above === null) return false;
    return above.nodeName === name || above.driver.formatName === name || isBelow(above, name);
  });
}
