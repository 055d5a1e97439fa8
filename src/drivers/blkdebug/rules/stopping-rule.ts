/** Rules that suspend a request at its I/O to the node below: breakpoints with `iotype` or `sector`, and watches. */
import type { WatchedPlace, WatchedPlaces } from '../../../block/debug/port.ts';
import { Event } from '../../../block/events/events.ts';
import type { Coroutine } from '../../../block/loop/loop.ts';
import type { Steps } from '../../../util/steps.ts';
import type { DiskRequest } from '../actions/fault.ts';
import type { Condition } from './condition.ts';
import { eventConditions } from './location.ts';
import { RequestRule } from './request-rule.ts';
import { ANY_EVENT } from './rule.ts';
import type { RuleSettings } from './settings.ts';

/** Reads the file below without being noticed; zeroes behind its end. */
export type Peek = (offset: number, data: Buffer) => Steps<void>;

/** The answer of a rule to a request: why it goes on, or what there is to say where it stops; null is nothing. */
export type Verdict = { readonly unmet: Condition } | { readonly unmet: null; readonly says: string | null };

/** A rule of this sort. Its conditions on the request that runs hold already when it is asked. */
export type StoppingRule = IoBreakpoint | WatchRule;

const notYet: Condition = { name: 'event', unmet: () => 'the request has not come to the event' };
const noData: Condition = { name: 'iotype', unmet: () => 'a shorter file is none of this iotype' };
const unchanged: Condition = { name: 'watch', unmet: () => 'changes nothing that is watched' };

/** A breakpoint that stops a request behind its event, at the first I/O of a kind that it asks of the file. */
export class IoBreakpoint extends RequestRule {
  readonly kind = 'suspend';
  override readonly tag: string;
  override readonly once: boolean;
  /** The requests that have come to the event. */
  readonly #expected = new WeakSet<Coroutine>();

  constructor(settings: RuleSettings) {
    const { iotype, tag, once, times } = settings;
    super(settings, iotype === undefined ? null : [iotype], eventConditions(settings), null);
    this.tag = tag ?? '';
    this.once = once ?? times === undefined;
  }

  /** The running request has come to the event. */
  expect(coroutine: Coroutine): void {
    this.#expected.add(coroutine);
  }

  /** Asked of every request to the node below, before it is done. */
  judge({ ioType, offset, bytes }: DiskRequest, coroutine: Coroutine): Verdict {
    const isAnywhere = this.event === ANY_EVENT || this.event === Event.NONE;
    if (!isAnywhere && !this.#expected.has(coroutine)) return { unmet: notYet };
    const unmet = this.unmetBy(ioType, offset, bytes);
    if (unmet !== null) return { unmet };
    this.#expected.delete(coroutine);
    return { unmet: null, says: null };
  }
}

/** A watch: stops each request that is about to change a part of the file. */
export class WatchRule extends RequestRule {
  readonly kind = 'watch';
  override readonly tag: string;
  readonly places: WatchedPlaces;
  /** It is not about requests of one kind alone. */
  readonly #isOfAnyKind: boolean;

  constructor(settings: RuleSettings, places: WatchedPlaces) {
    const { iotype } = settings;
    super(settings, iotype === undefined ? ['write', 'write-zeroes', 'discard'] : [iotype], undefined, null);
    this.tag = settings.tag ?? '';
    this.places = places;
    this.#isOfAnyKind = iotype === undefined;
  }

  /** Asked of every request to the node below, before it is done. */
  *judge(request: DiskRequest, peek: Peek): Steps<Verdict> {
    for (const condition of this.conditions) {
      if (!condition.holds(request.ioType, request.offset, request.bytes)) return { unmet: condition };
    }
    const changed = yield* this.#changeBy(request, peek);
    const unmet = changed === null ? unchanged : this.countThisTime();
    return unmet === null ? { unmet, says: changed } : { unmet };
  }

  /** Asked before the file is made shorter: all from one offset to its end is cut off. */
  *judgeCut(from: number, end: number): Steps<Verdict> {
    if (!this.#isOfAnyKind) return { unmet: noData };
    for (const { what, offset, bytes } of yield this.places()) {
      if (offset + bytes <= from || offset >= end) continue;
      const unmet = this.countThisTime();
      return unmet === null
        ? { unmet, says: `cuts off the ${what} at 0x${Math.max(offset, from).toString(16)}` }
        : { unmet };
    }
    return { unmet: unchanged };
  }

  /** The first change that the request is about to make, in words; null if it makes none. */
  *#changeBy(request: DiskRequest, peek: Peek): Steps<string | null> {
    for (const place of yield this.places()) {
      const start = Math.max(place.offset, request.offset);
      const end = Math.min(place.offset + place.bytes, request.offset + request.bytes);
      for (let at = start; at < end; at += COMPARED_BYTES) {
        const text = yield* changeIn(place, at, Math.min(end - at, COMPARED_BYTES), request, peek);
        if (text !== null) return text;
      }
    }
    return null;
  }
}

/** How much is compared at once. */
const COMPARED_BYTES = 1 << 20;
/** Places that are shown with their values. */
const SHOWN_BYTES = 16;

/** The change within `bytes` from `at` on, in words. */
function* changeIn(
  place: WatchedPlace,
  at: number,
  bytes: number,
  request: DiskRequest,
  peek: Peek,
): Steps<string | null> {
  const before = Buffer.alloc(bytes);
  yield* peek(at, before);
  const into = at - request.offset;
  const after = request.data?.subarray(into, into + bytes) ?? Buffer.alloc(bytes);
  const { bits } = place;
  if (bits === undefined ? after.equals(before) : ((before[0] ?? 0) & bits) === ((after[0] ?? 0) & bits)) return null;
  if (place.bytes > SHOWN_BYTES) {
    let first = 0;
    while (before[first] === after[first]) first += 1;
    return `changes the ${place.what}, at 0x${(at + first).toString(16)}`;
  }
  const whole = Buffer.alloc(place.bytes);
  yield* peek(place.offset, whole);
  const old = valueText(whole, bits);
  after.copy(whole, at - place.offset);
  return `changes the ${place.what} at 0x${place.offset.toString(16)} from ${old} to ${valueText(whole, bits)}`;
}

/** A number with its high byte first, or some bits of a byte; a longer place in words of eight bytes. */
function valueText(bytes: Buffer, bits: number | undefined): string {
  if (bits !== undefined) return `0x${(((bytes[0] ?? 0) & bits) / (bits & -bits)).toString(16)}`;
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const digits = bytes.toString('hex', at, at + 8).replace(/^0+(?=.)/, '');
    texts.push(`0x${digits}`);
  }
  return texts.join(' ');
}
