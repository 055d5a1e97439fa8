/** The common part of rules which, once their event has fired, are checked against each request to the node below. */
import { Event } from '../../../block/events/events.ts';
import {
  type Condition,
  type EventCondition,
  type IoType,
  IoTypeCondition,
  type IoTypeName,
  type RequestCondition,
  SectorCondition,
} from './condition.ts';
import { type ByteRange, requesterConditions, RequestOffsetCondition } from './location.ts';
import { BaseRule } from './rule.ts';
import type { RuleSettings } from './settings.ts';

/** A rule that acts on requests. */
export abstract class RequestRule extends BaseRule {
  readonly checksRequests = true;
  /** The rule is exhausted when it has acted on a request. */
  readonly once: boolean;
  /** Evaluated in this order; the first that is not met is the reason why a request passed. */
  readonly conditions: readonly RequestCondition[];
  /** Its event was the last one that matched rules of this sort: requests are checked against it. */
  active = false;
  /** How many requests it acted on. */
  injected = 0;

  /**
   * `ioTypes` are those that it acts on, null for all but block-status; `when` is asked of the event, and `offset` of
   * the request to the file.
   */
  constructor(
    settings: RuleSettings,
    ioTypes: readonly IoTypeName[] | null,
    when: readonly EventCondition[] = requesterConditions(settings),
    offset: ByteRange | null = settings.offset ?? null,
  ) {
    const { sector, once } = settings;
    super(settings, when);
    this.once = once ?? false;
    const conditions: RequestCondition[] = [];
    if (sector !== undefined) conditions.push(new SectorCondition(sector));
    if (offset !== null) conditions.push(new RequestOffsetCondition(offset));
    conditions.push(new IoTypeCondition(ioTypes));
    this.conditions = conditions;
  }

  /** The first condition that a request does not meet, the counting ones included; null if it meets all. */
  unmetBy(ioType: IoType, offset: number, bytes: number): Condition | null {
    for (const condition of this.conditions) if (!condition.holds(ioType, offset, bytes)) return condition;
    return this.countThisTime();
  }

  /** Stays active when another event makes other rules active. */
  get isStanding(): boolean {
    return this.kind !== 'inject-error' && this.event === Event.NONE;
  }
}
