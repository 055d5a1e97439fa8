/** A group of throttled nodes: their requests take turns, one timer at a time for each direction. */
import type { EventLoop, WaitReason } from '../../block/loop/loop.ts';
import type { ThrottleGroup } from '../../block/throttle-limits.ts';
import type { Steps } from '../../util/steps.ts';
import { type Direction, LeakyBuckets } from './leaky-buckets.ts';

const waitsForTurn: WaitReason = { kind: 'timer' };

/** A node in a group, with its requests that wait: each goes on by a call. */
export class Member {
  readonly waiting: Readonly<Record<Direction, (() => void)[]>> = { read: [], write: [] };
  /** Requests that are not throttled while this is not 0: the node is to be quiet. */
  freeCount = 0;
}

/** A group as its nodes use it. */
class Group {
  readonly #loop: EventLoop;
  readonly #buckets: LeakyBuckets;
  /** The newest first. */
  readonly #members: Member[] = [];
  /** The member whose turn it was last. */
  readonly #turn: Record<Direction, Member | null> = { read: null, write: null };
  /** Ends the timer that the next request of this direction waits for. */
  readonly #timer: Record<Direction, (() => void) | null> = { read: null, write: null };

  constructor(settings: ThrottleGroup, loop: EventLoop) {
    this.#loop = loop;
    this.#buckets = new LeakyBuckets(settings, loop.clock.nowNs());
  }

  join(): Member {
    const member = new Member();
    this.#members.unshift(member);
    this.#turn.read ??= member;
    this.#turn.write ??= member;
    return member;
  }

  leave(member: Member): void {
    this.#members.splice(this.#members.indexOf(member), 1);
    for (const direction of ['read', 'write'] as const) {
      if (this.#turn[direction] === member) this.#turn[direction] = this.#members[0] ?? null;
    }
  }

  /** Waits until a request of so many bytes may go on, and counts it. */
  *admit(member: Member, direction: Direction, bytes: number): Steps<void> {
    const mustWait = this.#mustWait(this.#next(member, direction), direction);
    if (mustWait || member.waiting[direction].length > 0) {
      yield this.#loop.parkOutside(waitsForTurn, (arrived) => {
        member.waiting[direction].push(arrived);
        return () => {
          const index = member.waiting[direction].indexOf(arrived);
          if (index >= 0) member.waiting[direction].splice(index, 1);
        };
      });
      this.#loop.checkCancelled();
    }
    this.#buckets.account(direction, bytes);
    this.#scheduleNext(member, direction);
  }

  /** Lets all requests of a member go on. */
  release(member: Member): void {
    for (const direction of ['read', 'write'] as const) {
      for (let go = member.waiting[direction].shift(); go !== undefined; go = member.waiting[direction].shift()) go();
    }
  }

  /** The member whose request is next: one after the other of those that have some. */
  #next(member: Member, direction: Direction): Member {
    if (member.freeCount > 0 && member.waiting[direction].length > 0) return member;
    const start = this.#members.indexOf(this.#turn[direction] ?? member);
    for (let step = 1; step <= this.#members.length; step++) {
      const candidate = this.#members[(start + step) % this.#members.length];
      if (candidate !== undefined && candidate.waiting[direction].length > 0) return candidate;
    }
    return member;
  }

  /** Whether the next request has to wait; a timer runs then. */
  #mustWait(member: Member, direction: Direction): boolean {
    if (member.freeCount > 0) return false;
    if (this.#timer[direction] !== null) return true;
    const { clock } = this.#loop;
    const waitNs = this.#buckets.waitNs(direction, clock.nowNs());
    if (waitNs === 0) return false;
    this.#turn[direction] = member;
    this.#timer[direction] = clock.after(waitNs, () => {
      this.#timer[direction] = null;
      const go = member.waiting[direction].shift();
      if (go === undefined) this.#scheduleNext(member, direction);
      else go();
    });
    return true;
  }

  #scheduleNext(member: Member, direction: Direction): void {
    const token = this.#next(member, direction);
    if (token.waiting[direction].length === 0 || this.#mustWait(token, direction)) return;
    // The node that had this turn is preferred.
    const chosen = member.waiting[direction].length > 0 ? member : token;
    this.#turn[direction] = chosen;
    chosen.waiting[direction].shift()?.();
  }
}

const groups = new WeakMap<ThrottleGroup, Group>();

/** The group of an object; nodes with the same object share it. */
export function groupOf(settings: ThrottleGroup, loop: EventLoop): Group {
  const known = groups.get(settings);
  if (known !== undefined) return known;
  const group = new Group(settings, loop);
  groups.set(settings, group);
  return group;
}

export type { Group };
