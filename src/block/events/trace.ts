/** The event bus: typed records of what happens in the block layer. Free without subscribers. */
import type { Clock } from '../loop/clock.ts';
import type { ErrorPlace } from '../../util/compact.ts';
import { EventHistory, type EventNote } from './history.ts';
import type { EventName } from './events.ts';
import type { FaultKind, RuleView } from '../debug/rules.ts';

/** The fields of every record. `request` is the coroutine's id, 0 outside of a request. */
interface RecordBase {
  /** Counts from 1, without gaps, over all records of one bus. */
  readonly sequence: number;
  /** Nanoseconds of the bus's clock. */
  readonly timeNs: number;
  readonly request: number;
  /** Name of the node (its `node-name`). */
  readonly node: string;
}

/** The kinds of records that tell of a change of the rules of a node. */
export type RuleChange =
  | 'rule-added'
  | 'rule-changed'
  | 'rule-enabled'
  | 'rule-disabled'
  | 'rule-exhausted'
  | 'rule-removed';

/** The kinds of hazards: see `block/hazards/detector.ts`. */
export const hazardKinds = ['freed-in-flight', 'written-twice', 'not-flushed', 'not-counted'] as const;

/** One of them. */
export type HazardKind = (typeof hazardKinds)[number];

/** Something that must not happen to an image, as it happens. Offsets and lengths in bytes. */
export interface HazardDetail {
  readonly hazard: HazardKind;
  /** A sentence that names the requests. */
  readonly text: string;
  /** The other request; 0 if only one takes part. */
  readonly other: number;
  /** The range of the image file. */
  readonly fileOffset: number;
  readonly bytes: number;
  /** Where the guest's data is that is in danger; left out where there is none. */
  readonly guestOffset?: number;
}

/** The part of a record that its kind brings. Offsets and lengths are in bytes, `errno` is positive. */
export type TraceDetail =
  /**
   * The offset is one of the guest's disk, or one of the image file: see `hasGuestOffsets`. `offset` is either, in old
   * recordings. `client`: the client of an export that asked for it; left out for the shell's own requests. `parent`:
   * the request that it is a part of.
   */
  | {
      readonly kind: 'request-begin';
      readonly operation: string;
      readonly guestOffset?: number;
      readonly fileOffset?: number;
      readonly offset?: number;
      readonly bytes: number;
      readonly client?: string;
      readonly parent?: number;
    }
  | { readonly kind: 'request-end'; readonly operation: string; readonly errno: number }
  | { readonly kind: 'event'; readonly event: EventName }
  | { readonly kind: 'rule-hit'; readonly rule: number; readonly event: EventName }
  | { readonly kind: 'rule-skip'; readonly rule: number; readonly event: EventName; readonly reason: string }
  | ({ readonly kind: 'error-injected'; readonly rule: number; readonly errno: number } & ErrorPlace)
  /** A rule spoils the request; a delay is an inject-error rule without an error. */
  | { readonly kind: 'fault-injected'; readonly rule: number; readonly fault: FaultKind | 'delay' }
  /** `rule` is 0 if a command changed the state. */
  | { readonly kind: 'state-change'; readonly from: number; readonly to: number; readonly rule: number }
  | { readonly kind: 'suspend'; readonly tag: string; readonly event: string }
  | { readonly kind: 'resume'; readonly tag: string }
  | { readonly kind: 'lock-wait'; readonly on: string }
  | ({ readonly kind: 'hazard' } & HazardDetail)
  /** A rule is new, or a command has changed it: `view` is the rule as it is now. */
  | { readonly kind: 'rule-added' | 'rule-changed'; readonly rule: number; readonly view: RuleView }
  | { readonly kind: Exclude<RuleChange, 'rule-added' | 'rule-changed'>; readonly rule: number }
  /**
   * A command line begins; `depth` is 0 for the session's own lines, and more for those that another command runs.
   * `syntax`: with what qemu-io does not know.
   * `client`: the console that gave it; left out for the session itself. These three are of no node.
   */
  | {
      readonly kind: 'command';
      readonly line: string;
      readonly depth: number;
      readonly syntax?: 'extended';
      readonly client?: string;
    }
  /** It has failed; one that succeeds says nothing. */
  | { readonly kind: 'command-failed'; readonly depth: number; readonly errno: number }
  /** The session has printed something, also of a request that ends later; `client` as above. */
  | { readonly kind: 'output'; readonly stream: OutputStream; readonly text: string; readonly client?: string }
  /** Of the top node. `image-closing` comes before the close flushes and writes. */
  | { readonly kind: 'image-opened' | 'image-reopened' | 'image-closing' | 'image-closed' };

/** Where a session prints. */
export type OutputStream = 'stdout' | 'stderr';

/** One record of the bus: when, on which node, for which request, and what happened. */
export type TraceRecord = RecordBase & TraceDetail;

/** Is called for each record at once, in the midst of the request that caused it; it must not throw. */
export type TraceSubscriber = (record: TraceRecord) => void;

/** The bus: numbers records, gives them the time, and tells the subscribers. */
export class TraceBus {
  /** Whether there is a subscriber. Test it before building a record of a kind that comes often. */
  active = false;
  /** The events fired so far, kept also without subscribers. */
  readonly history = new EventHistory();
  #clock: Clock;
  /** Few, and mostly one: gone through by index, for every record. */
  #subscribers: readonly TraceSubscriber[] = [];
  #sequence = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `subscriber` for every record from now on; the function returned ends that. */
  subscribe(subscriber: TraceSubscriber): () => void {
    this.#subscribers = [...this.#subscribers, subscriber];
    this.active = true;
    return () => {
      this.#subscribers = this.#subscribers.filter((other) => other !== subscriber);
      this.active = this.#subscribers.length > 0;
    };
  }

  /** The session begins anew, by another clock: numbers begin again, and subscribers stay. */
  restart(clock: Clock): void {
    this.#clock = clock;
    this.#sequence = 0;
    this.history.restart();
  }

  /**
   * Hands a record to all subscribers. Callers check `active` first, except for what the history keeps in any case:
   * suspensions, resumptions, waits, errors, hazards and changes of the state.
   */
  emit(request: number, node: string, detail: TraceDetail): void {
    const note = noteOf(detail);
    if (detail.kind === 'hazard') this.history.addHazard(request, detail.other, detail.text);
    else if (note !== null) this.history.annotate(request, note);
    else if (changesImage(detail)) this.history.notify();
    if (!this.active) return;
    this.#sequence += 1;
    const record = makeRecord(this.#sequence, this.#clock.nowNs(), request, node, detail);
    const subscribers = this.#subscribers;
    for (let index = 0; index < subscribers.length; index++) subscribers[index]?.(record);
  }
}

function changesImage({ kind }: TraceDetail): boolean {
  return kind.startsWith('image-');
}

/** The note that the history keeps of a record at the event that led to it; null for most kinds. */
function noteOf(detail: TraceDetail): EventNote | null {
  switch (detail.kind) {
    case 'suspend':
    case 'resume':
      return { kind: detail.kind, tag: detail.tag };
    case 'error-injected':
      return { ...detail, kind: 'error' };
    case 'state-change':
      return { kind: 'state', from: detail.from, to: detail.to, rule: detail.rule };
    case 'lock-wait':
      return { kind: 'wait', on: detail.on };
    default:
      return null;
  }
}

/** Property by property for the kinds that come by the thousand: spreading the detail is slower. */
function makeRecord(sequence: number, timeNs: number, request: number, node: string, detail: TraceDetail): TraceRecord {
  const { kind } = detail;
  switch (kind) {
    case 'event':
      return { sequence, timeNs, request, node, kind, event: detail.event };
    case 'request-begin': {
      const { operation, guestOffset, fileOffset, bytes } = detail;
      if (detail.client !== undefined || detail.parent !== undefined) break;
      if (guestOffset !== undefined) return { sequence, timeNs, request, node, kind, operation, guestOffset, bytes };
      if (fileOffset !== undefined) return { sequence, timeNs, request, node, kind, operation, fileOffset, bytes };
      break;
    }
    case 'request-end':
      return { sequence, timeNs, request, node, kind, operation: detail.operation, errno: detail.errno };
    default:
      break;
  }
  return { sequence, timeNs, request, node, ...detail };
}
