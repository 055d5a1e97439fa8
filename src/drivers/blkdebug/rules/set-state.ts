/** `set-state`: when its event has fired, and all rules of that event were looked at, the state becomes a new one. */
import type { DebugEvent } from '../../../block/events.ts';
import type { Attributes } from '../attributes.ts';
import { type EventCondition, StateCondition, stateNumber } from './condition.ts';
import { BaseRule, parseEvent } from './rule.ts';

export const setStateTypes = { event: 'string', state: 'number', new_state: 'number' } as const;

export class SetStateRule extends BaseRule {
  readonly kind = 'set-state';
  readonly newState: number;

  constructor(event: DebugEvent, when: EventCondition | null, newState: number) {
    super(event, when);
    this.newState = newState;
  }

  static parse(attributes: Attributes<typeof setStateTypes>): SetStateRule {
    const event = parseEvent(attributes.event);
    return new SetStateRule(event, StateCondition.parse(attributes.state), stateNumber(attributes.new_state));
  }

  override describe(): string {
    const newState = `new_state=${this.newState}`;
    return this.when === null ? newState : `${this.when.toString()} ${newState}`;
  }
}
