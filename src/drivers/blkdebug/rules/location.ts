/** Conditions on where something happens: `offset=A..B` and `node=NAME`. Both are ours, not QEMU's. */
import type { EventCondition, EventContext, IoType, RequestCondition } from './condition.ts';

/** A range of bytes, from `from` to before `to`, with the text that it was written as. */
export class ByteRange {
  readonly from: number;
  readonly to: number;
  readonly text: string;

  constructor(from: number, to: number, text: string) {
    this.from = from;
    this.to = to;
    this.text = text;
  }

  /** Whether a request of `bytes` at `offset` has a byte in it. */
  touches(offset: number, bytes: number): boolean {
    return bytes > 0 && offset < this.to && this.from < offset + bytes;
  }
}

/**
 * For inject-error: requests to the node below that touch the range; as `sector`, it counts bytes of the file below.
 */
export class RequestOffsetCondition implements RequestCondition {
  readonly name = 'offset';
  readonly #range: ByteRange;

  constructor(range: ByteRange) {
    this.#range = range;
  }

  holds(_ioType: IoType, offset: number, bytes: number): boolean {
    return this.#range.touches(offset, bytes);
  }

  unmet(): string {
    return `does not touch bytes ${this.#range.text}`;
  }
}

/**
 * For rules that act on the event itself, which has no offset: the user's request touches the range of the guest's
 * disk.
 */
class EventOffsetCondition implements EventCondition {
  readonly name = 'offset';
  readonly #range: ByteRange;

  constructor(range: ByteRange) {
    this.#range = range;
  }

  holds({ request }: EventContext): boolean {
    return request?.offset !== undefined && this.#range.touches(request.offset, request.bytes ?? 0);
  }

  unmet(): string {
    return `the request does not touch bytes ${this.#range.text}`;
  }
}

/**
 * Only for a request of the user with a range (a read, write, discard or truncate) that has come through this node, or
 * through one with this driver: `node=qcow2` leaves out what qcow2 does by itself when it opens, flushes and closes.
 */
export class NodeCondition implements EventCondition {
  readonly name = 'node';
  readonly #wanted: string;

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  /** A request with a range began at the top, so it has passed every node above the rules' one. */
  holds(context: EventContext): boolean {
    return context.request?.offset !== undefined && context.isBelow(this.#wanted);
  }

  unmet(): string {
    return `not in a request that came through ${this.#wanted}`;
  }
}

/** The conditions `node` and `offset` of a rule that acts on the event itself. */
export function eventConditions({
  node,
  offset,
}: {
  readonly node?: string | undefined;
  readonly offset?: ByteRange | undefined;
}): EventCondition[] {
  const conditions: EventCondition[] = [];
  if (node !== undefined) conditions.push(new NodeCondition(node));
  if (offset !== undefined) conditions.push(new EventOffsetCondition(offset));
  return conditions;
}
