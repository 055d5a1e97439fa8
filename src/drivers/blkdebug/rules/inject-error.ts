/** `inject-error`: once its event has fired, requests that meet its conditions fail. */
import { Errno } from '../../../util/errno.ts';
import type { Attributes } from '../attributes.ts';
import {
  type Condition,
  type EventCondition,
  type IoType,
  IoTypeCondition,
  type RequestCondition,
  SectorCondition,
  StateCondition,
} from './condition.ts';
import { type LiveConditions, noLiveConditions } from './live.ts';
import { RequestOffsetCondition } from './place.ts';
import { BaseRule, parseEvent, present, textsOf, type Trigger } from './rule.ts';

/** The attributes that QEMU knows for it (QAPI: BlkdebugInjectErrorOptions). */
export const injectErrorTypes = {
  event: 'string',
  state: 'number',
  iotype: 'string',
  errno: 'number',
  sector: 'number',
  once: 'bool',
  immediately: 'bool',
} as const;

/** What the rule does to a request. */
export interface InjectErrorAction {
  /** What the request fails with; 0 lets it pass, and shields it from the rules behind this one. */
  readonly errno: number;
  /** The rule is spent when it has failed a request. */
  readonly once: boolean;
  /** Fail in the caller's turn instead of the loop's next one. */
  readonly immediately: boolean;
}

/** A rule of this action, with its conditions and counters. */
export class InjectErrorRule extends BaseRule implements InjectErrorAction {
  readonly kind = 'inject-error';
  readonly errno: number;
  readonly once: boolean;
  readonly immediately: boolean;
  /** Looked at in this order; the first that is not met is the reason why a request passed. */
  readonly conditions: readonly RequestCondition[];
  /** Its event was the last one that matched inject rules: requests are held against it. */
  active = false;
  /** How many requests it failed. */
  injected = 0;

  constructor(trigger: Trigger, conditions: readonly RequestCondition[], action: InjectErrorAction) {
    super(trigger);
    this.conditions = conditions;
    this.errno = action.errno;
    this.once = action.once;
    this.immediately = action.immediately;
  }

  static parse(
    attributes: Attributes<typeof injectErrorTypes>,
    { node, range, counting }: LiveConditions = noLiveConditions,
  ): InjectErrorRule {
    const event = parseEvent(attributes.event);
    const sector = SectorCondition.parse(attributes.sector);
    const offset = range === null ? null : new RequestOffsetCondition(range);
    const ioType = IoTypeCondition.parse(attributes.iotype);
    const state = StateCondition.parse(attributes.state);
    const when = present<EventCondition>(node);
    return new InjectErrorRule({ event, state, when, counting }, present<RequestCondition>(sector, offset, ioType), {
      errno: Number(BigInt.asIntN(32, attributes.errno ?? BigInt(Errno.EIO))),
      once: attributes.once ?? false,
      immediately: attributes.immediately ?? false,
    });
  }

  /** The first condition that a request does not meet, the counting ones included; null if it meets all. */
  unmetBy(ioType: IoType, offset: number, bytes: number): Condition | null {
    for (const condition of this.conditions) if (!condition.holds(ioType, offset, bytes)) return condition;
    return this.countThisTime();
  }

  get actionText(): string {
    return `errno=${this.errno}`;
  }

  conditionTexts(): string[] {
    const texts = textsOf([this.state, ...this.when, ...this.conditions, ...this.counting]);
    if (this.once) texts.push('once=on');
    if (this.immediately) texts.push('immediately=on');
    return texts;
  }
}
