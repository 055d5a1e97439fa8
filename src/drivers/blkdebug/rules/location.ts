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
class NodeCondition implements EventCondition {
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

/** Only while the request of this number runs. */
class RunningRequestCondition implements EventCondition {
  readonly name = 'request';
  readonly #wanted: number;

  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  holds({ request }: EventContext): boolean {
    return request?.id === this.#wanted;
  }

  unmet(): string {
    return `not in request ${this.#wanted}`;
  }
}

/** Only while a request of this operation runs: `op=write` is also `write -z`. */
class OperationCondition implements EventCondition {
  readonly name = 'op';
  readonly #wanted: string;

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  holds({ request }: EventContext): boolean {
    return request !== null && (request.operation === this.#wanted || request.operation.startsWith(`${this.#wanted} `));
  }

  unmet(): string {
    return `not in a request of operation ${this.#wanted}`;
  }
}

/** The settings of conditions on the request that runs when an event fires. */
export interface WhoseEvent {
  readonly node?: string | undefined;
  readonly request?: number | undefined;
  readonly op?: string | undefined;
}

/** The conditions `node`, `request` and `op`. */
export function requesterConditions({ node, request, op }: WhoseEvent): EventCondition[] {
  return [
    ...(node === undefined ? [] : [new NodeCondition(node)]),
    ...(request === undefined ? [] : [new RunningRequestCondition(request)]),
    ...(op === undefined ? [] : [new OperationCondition(op)]),
  ];
}

/** The conditions of a rule that acts on the event itself: those on the request, and `offset`. */
export function eventConditions(settings: WhoseEvent & { readonly offset?: ByteRange | undefined }): EventCondition[] {
  const { offset } = settings;
  return [...requesterConditions(settings), ...(offset === undefined ? [] : [new EventOffsetCondition(offset)])];
}
