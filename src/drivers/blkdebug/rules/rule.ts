/** The common part of all rules: an event, conditions, counters, and the links of the rule table. */
import { anyEventName, type RuleKind, type RuleStatus, type RuleView } from '../../../block/debug/rules.ts';
import { type DebugEvent, eventName, eventNames } from '../../../block/events/events.ts';
import { type Condition, type EventCondition, StateCondition } from './condition.ts';
import { type CountingCondition, countingConditions } from './counting.ts';
import type { Rule } from './index.ts';
import type { RuleSettings } from './settings.ts';

/** The event of rules that act at any event; none fires it. */
export const ANY_EVENT = eventNames.length as DebugEvent;

/** The name of a rule's event. */
export function ruleEventName(event: DebugEvent): RuleView['event'] {
  return event === ANY_EVENT ? anyEventName : eventName(event);
}

/** A rule without its action. */
export abstract class BaseRule {
  abstract readonly kind: RuleKind;
  /** Once its event has fired it is checked against requests, and counts those; else it acts on the event itself. */
  abstract readonly checksRequests: boolean;
  /** The tag of the requests that it suspends; null for rules that suspend none. */
  readonly tag: string | null = null;
  /** All that makes the rule. */
  readonly settings: RuleSettings;
  readonly event: DebugEvent;
  /** The state that it waits for; null for every state. Checked first. */
  readonly state: StateCondition | null;
  /** Evaluated in this order when the event fires; the first that is not met is the reason why the rule is skipped. */
  readonly when: readonly EventCondition[];
  readonly counting: readonly CountingCondition[];
  /** Counts from 1 in the order in which rules were made, and never changes; 0 before the rule is in a table. */
  number = 0;
  /** Set by the table alone; only armed rules are evaluated. */
  status: RuleStatus = 'armed';
  /** How often the event fired with the conditions met. */
  hits = 0;
  /** The condition that kept the rule from acting when it was evaluated last; null if it did act. */
  lastSkip: Condition | null = null;
  /** Neighbours among the armed rules of one event; set by the table alone. */
  newer: Rule | null = null;
  older: Rule | null = null;

  constructor(settings: RuleSettings, when: readonly EventCondition[]) {
    this.settings = settings;
    this.event = settings.event;
    this.state = settings.state === undefined ? null : new StateCondition(settings.state);
    this.when = when;
    this.counting = countingConditions(settings);
  }

  /** Evaluates the counting conditions, when all others are met: the first that refuses; null if the rule may act. */
  countThisTime(): Condition | null {
    for (const condition of this.counting) if (!condition.admits()) return condition;
    return null;
  }

  /** It has acted as often as it may. */
  get isExhausted(): boolean {
    return this.counting.some(({ isExhausted }) => isExhausted);
  }

  /** Its counting conditions begin as if it had never been met. */
  restartCounting(): void {
    for (const condition of this.counting) condition.restart(this.number);
  }
}
