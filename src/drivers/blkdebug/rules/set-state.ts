/** `set-state`: when its event has fired and all rules of that event are evaluated, the state becomes a new one. */
import { eventConditions } from './location.ts';
import { BaseRule } from './rule.ts';
import type { RuleSettings } from './settings.ts';

/** A rule of this action, with its conditions and counters. */
export class SetStateRule extends BaseRule {
  readonly kind = 'set-state';
  readonly checksRequests = false;
  readonly newState: number;

  constructor(settings: RuleSettings) {
    super(settings, eventConditions(settings));
    this.newState = settings.new_state ?? 0;
  }
}
