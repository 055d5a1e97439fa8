/** A breakpoint: requests that fire its event wait until its tag is resumed; only the first one, unless it is to stay. */
import type { Attributes } from '../attributes.ts';
import { type EventCondition, StateCondition } from './condition.ts';
import type { LiveConditions } from './live.ts';
import { EventOffsetCondition } from './place.ts';
import { BaseRule, parseEvent, present, textsOf, type Trigger } from './rule.ts';

/** The attributes of a breakpoint; QEMU has no section for it. */
export const suspendTypes = { event: 'string', tag: 'string', state: 'number', once: 'bool' } as const;

/** A breakpoint as a rule: what `break` makes. */
export class SuspendRule extends BaseRule {
  readonly kind = 'suspend';
  readonly tag: string;
  /** The rule is spent when it has stopped a request. */
  readonly once: boolean;

  constructor(trigger: Trigger, tag: string, once: boolean) {
    super(trigger);
    this.tag = tag;
    this.once = once;
  }

  /** A breakpoint stops once unless it is told otherwise, or how often. */
  static parse(
    { event: eventName, tag = '', state, once }: Attributes<typeof suspendTypes>,
    { node, range, counting }: LiveConditions,
  ): SuspendRule {
    const event = parseEvent(eventName);
    const offset = range === null ? null : new EventOffsetCondition(range);
    const when = present<EventCondition>(node, offset);
    const trigger = { event, state: StateCondition.parse(state), when, counting };
    return new SuspendRule(trigger, tag, once ?? !isCounted(trigger));
  }

  get actionText(): string {
    return `tag=${this.tag}`;
  }

  conditionTexts(): string[] {
    const texts = textsOf([this.state, ...this.when, ...this.counting]);
    if (this.once === isCounted(this)) texts.push(`once=${this.once ? 'on' : 'off'}`);
    return texts;
  }
}

function isCounted({ counting }: Trigger): boolean {
  return counting.some(({ name }) => name === 'times');
}
