/** `set-state`: when its event has fired, and all rules of that event were looked at, the state becomes a new one. */
import type { Attributes } from '../attributes.ts';
import { type EventCondition, StateCondition, stateNumber } from './condition.ts';
import { type LiveConditions, noLiveConditions } from './live.ts';
import { EventOffsetCondition } from './place.ts';
import { BaseRule, parseEvent, present, textsOf, type Trigger } from './rule.ts';

/** The attributes that QEMU knows for it (QAPI: BlkdebugSetStateOptions). */
export const setStateTypes = { event: 'string', state: 'number', new_state: 'number' } as const;

/** A rule of this action, with its conditions and counters. */
export class SetStateRule extends BaseRule {
  readonly kind = 'set-state';
  readonly newState: number;

  constructor(trigger: Trigger, newState: number) {
    super(trigger);
    this.newState = newState;
  }

  static parse(
    attributes: Attributes<typeof setStateTypes>,
    { node, range, counting }: LiveConditions = noLiveConditions,
  ): SetStateRule {
    const event = parseEvent(attributes.event);
    const offset = range === null ? null : new EventOffsetCondition(range);
    const when = present<EventCondition>(node, offset);
    const trigger = { event, state: StateCondition.parse(attributes.state), when, counting };
    return new SetStateRule(trigger, stateNumber(attributes.new_state));
  }

  get actionText(): string {
    return `new_state=${this.newState}`;
  }

  conditionTexts(): string[] {
    return textsOf([this.state, ...this.when, ...this.counting]);
  }
}
