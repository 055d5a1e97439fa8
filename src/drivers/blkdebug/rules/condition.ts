/**
 * The conditions of rules: what must hold, beyond the event, for a rule to act.
 *
 * They are looked at in three steps. When the event fires, `EventCondition`s decide whether the rule takes notice. An
 * inject rule that did is *active*, and for every request after that its `RequestCondition`s decide whether this one
 * fails. Where all of these hold, `CountingCondition`s (`counting.ts`) have the last word.
 * A condition is a small class with its own `parse`; one that is not given is not there, and costs nothing.
 */
import { BlockError } from '../../../block/error.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { Errno } from '../../../util/errno.ts';
import type { BlkdebugNode } from '../state.ts';

/** A condition of any kind, for a reader. */
export interface Condition {
  /** The attribute that makes it: "state". */
  readonly name: string;
  /** As it is written in a rule: "state=2"; empty if it is there without having been given. */
  toString(): string;
  /** Why the rule did not act: "not in state 2". Called only when somebody wants to read it. */
  unmet(): string;
}

/** Is asked when the event fires. */
export interface EventCondition extends Condition {
  /** `node` is where the event fires, for the running request. */
  holds(node: BlkdebugNode): boolean;
}

/** Is asked when a request meets an active rule. */
export interface RequestCondition extends Condition {
  /** `bytes` is 0 for requests without a range. */
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

/** Only while the state machine is in this state. */
export class StateCondition implements Condition {
  readonly name = 'state';
  readonly state: number;

  constructor(state: number) {
    this.state = state;
  }

  /** Null for state 0, which stands for every state. */
  static parse(state: bigint | undefined): StateCondition | null {
    const number = stateNumber(state);
    return number === 0 ? null : new StateCondition(number);
  }

  toString(): string {
    return `state=${this.state}`;
  }

  unmet(): string {
    return `not in state ${this.state}`;
  }
}

/** A state as QEMU keeps it: the low 32 bits of the number, signed. 0 if it is not given. */
export function stateNumber(value: bigint | undefined): number {
  return Number(BigInt.asIntN(32, value ?? 0n));
}

const ANY_SECTOR = 0xffff_ffff_ffff_ffffn;

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

  /** Null for -1, which stands for every sector and for requests that have none. */
  static parse(sector: bigint | undefined): SectorCondition | null {
    return sector === undefined || sector === ANY_SECTOR ? null : new SectorCondition(sector);
  }

  holds(_ioType: IoType, offset: number, bytes: number): boolean {
    return this.#offset >= offset && this.#offset < offset + bytes;
  }

  toString(): string {
    return `sector=${this.#sector}`;
  }

  unmet(): string {
    return `does not touch sector ${this.#sector}`;
  }
}

const ioTypesByName: ReadonlyMap<string, IoType> = new Map([
  ['read', IoType.READ],
  ['write', IoType.WRITE],
  ['write-zeroes', IoType.WRITE_ZEROES],
  ['discard', IoType.DISCARD],
  ['flush', IoType.FLUSH],
  ['block-status', IoType.BLOCK_STATUS],
]);

/** What `iotype` takes. */
export const ioTypeNames: readonly string[] = [...ioTypesByName.keys()];

/** Only for one kind of I/O or, where none is named, for all but block-status. */
export class IoTypeCondition implements RequestCondition {
  readonly name = 'iotype';
  readonly #mask: number;
  readonly #ioType: string | null;

  constructor(mask: number, ioType: string | null) {
    this.#mask = mask;
    this.#ioType = ioType;
  }

  /** EINVAL for a name that is none. */
  static parse(name: string | undefined): IoTypeCondition {
    if (name === undefined) return anyButBlockStatus;
    const ioType = ioTypesByName.get(name);
    if (ioType === undefined) throw new BlockError(Errno.EINVAL, `invalid parameter value: ${name}`);
    return new IoTypeCondition(ioType, name);
  }

  holds(ioType: IoType): boolean {
    return (this.#mask & ioType) !== 0;
  }

  toString(): string {
    return this.#ioType === null ? '' : `iotype=${this.#ioType}`;
  }

  unmet(): string {
    return this.#ioType === null ? 'not for block-status' : `not a ${this.#ioType}`;
  }
}

const anyButBlockStatus = new IoTypeCondition(
  IoType.READ | IoType.WRITE | IoType.WRITE_ZEROES | IoType.DISCARD | IoType.FLUSH,
  null,
);
