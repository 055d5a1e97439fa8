/**
 * The conditions of rules: what must hold, beyond the event, for a rule to act.
 *
 * They are evaluated in three steps. When the event fires, `EventCondition`s decide whether the rule matches. An
 * inject-error rule that matched is *active*, and for every request after that its `RequestCondition`s decide whether
 * this one fails. Where all of these hold, `CountingCondition`s (`counting.ts`) decide last. A condition is a small
 * class; one that is not given does not exist and costs nothing.
 */
import { SECTOR_BYTES } from '../../../block/flags.ts';

/** A condition of any kind, for a reader. */
export interface Condition {
  /** The setting that makes it: "state". */
  readonly name: string;
  /** Why the rule did not act: "not in state 2". Called only to be shown. */
  unmet(): string;
}

/** A request as conditions see it: the range of the user's command on the guest's disk, in bytes. */
export interface RequestContext {
  readonly id: number;
  /** As the views name it: "write", "write -z". */
  readonly operation: string;
  /** Undefined for requests without a range. */
  readonly offset: number | undefined;
  readonly bytes: number | undefined;
  readonly cancelled: boolean;
}

/** The surroundings of an event: everything that an `EventCondition` may depend on. */
export interface EventContext {
  /** The running request; null outside of requests. */
  readonly request: RequestContext | null;
  /** Whether the rules' node lies below a node or driver of this name. */
  isBelow(name: string): boolean;
}

/** Is evaluated when the event fires. */
export interface EventCondition extends Condition {
  holds(context: EventContext): boolean;
}

/** Is evaluated when a request to the node below meets an active rule. */
export interface RequestCondition extends Condition {
  /** `offset` and `bytes` are of the file below; `bytes` is 0 for requests without a range. */
  holds(ioType: IoType, offset: number, bytes: number): boolean;
}

/** Kinds of I/O (QAPI's BlkdebugIOType), a bit each. */
export const IoType = {
  READ: 1,
  WRITE: 2,
  WRITE_ZEROES: 4,
  DISCARD: 8,
  FLUSH: 16,
  BLOCK_STATUS: 32,
} as const;

/** One of these bits. */
export type IoType = (typeof IoType)[keyof typeof IoType];

/**
 * Only while the state machine is in this state. The table compares it itself: of most rules it is the only condition.
 */
export class StateCondition implements Condition {
  readonly name = 'state';
  readonly state: number;

  constructor(state: number) {
    this.state = state;
  }

  unmet(): string {
    return `not in state ${this.state}`;
  }
}

/** Only for requests that touch this sector. */
export class SectorCondition implements RequestCondition {
  readonly name = 'sector';
  readonly #sector: bigint;
  readonly #offset: number;

  constructor(sector: bigint) {
    this.#sector = sector;
    // The product wraps at 64 bits, as in QEMU; one behind what a number holds is behind every image, too.
    const offset = BigInt.asUintN(64, sector * BigInt(SECTOR_BYTES));
    this.#offset = offset > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(offset);
  }

  holds(_ioType: IoType, offset: number, bytes: number): boolean {
    return this.#offset >= offset && this.#offset < offset + bytes;
  }

  unmet(): string {
    return `does not touch sector ${this.#sector}`;
  }
}

const ioTypesByName = {
  read: IoType.READ,
  write: IoType.WRITE,
  'write-zeroes': IoType.WRITE_ZEROES,
  discard: IoType.DISCARD,
  flush: IoType.FLUSH,
  'block-status': IoType.BLOCK_STATUS,
} as const;

/** A value of `iotype`. */
export type IoTypeName = keyof typeof ioTypesByName;

/** The values of `iotype`. */
export const ioTypeNames = Object.keys(ioTypesByName) as readonly IoTypeName[];

/** The value of `iotype` that names a kind of I/O. */
export function ioTypeName(ioType: IoType): IoTypeName {
  return ioTypeNames[Math.log2(ioType)] as IoTypeName;
}

/** Whether a text is a value of `iotype`. */
export function isIoTypeName(text: string): text is IoTypeName {
  return Object.hasOwn(ioTypesByName, text);
}

/** Only for some kinds of I/O or, with null, for all but block-status. */
export class IoTypeCondition implements RequestCondition {
  readonly name = 'iotype';
  readonly #mask: number;
  readonly #ioTypes: readonly IoTypeName[] | null;

  constructor(ioTypes: readonly IoTypeName[] | null) {
    this.#mask =
      ioTypes === null ? ANY_BUT_BLOCK_STATUS : ioTypes.reduce((mask, name) => mask | ioTypesByName[name], 0);
    this.#ioTypes = ioTypes;
  }

  holds(ioType: IoType): boolean {
    return (this.#mask & ioType) !== 0;
  }

  unmet(): string {
    return this.#ioTypes === null ? 'not for block-status' : `not a ${this.#ioTypes.join(' or ')}`;
  }
}

const ANY_BUT_BLOCK_STATUS = IoType.READ | IoType.WRITE | IoType.WRITE_ZEROES | IoType.DISCARD | IoType.FLUSH;
