/** What all rules have in common: an event, conditions, and a place in the table. */
import { BlockError } from '../../../block/error.ts';
import { eventByName, type DebugEvent, eventName } from '../../../block/events/events.ts';
import type { RuleStatus } from '../../../block/debug/rule-book.ts';
import { Errno } from '../../../util/errno.ts';
import type { Condition, EventCondition, StateCondition } from './condition.ts';
import type { CountingCondition } from './counting.ts';
import type { Rule } from './index.ts';

/** When a rule takes notice, and how often it may act. */
export interface Trigger {
  readonly event: DebugEvent;
  /** The state that it waits for; null for every state. Looked at first, and of most rules the only condition. */
  readonly state: StateCondition | null;
  /** Looked at in this order; the first that is not met is the reason why the rule was skipped. */
  readonly when: readonly EventCondition[];
  readonly counting: readonly CountingCondition[];
}

/** A rule without its action. */
export abstract class BaseRule implements Trigger {
  readonly event: DebugEvent;
  readonly state: StateCondition | null;
  readonly when: readonly EventCondition[];
  readonly counting: readonly CountingCondition[];
  /** Counts from 1 in the order in which rules were made, and never changes; 0 before the rule is in a table. */
  number = 0;
  /** Set by the table alone; only armed rules are looked at. */
  status: RuleStatus = 'armed';
  /** How often the event fired with the conditions met. */
  hits = 0;
  /** The condition that kept the rule from acting when it was looked at last; null if it did act. */
  lastSkip: Condition | null = null;
  /** Neighbours among the armed rules of the same event; set by the table alone. */
  newer: Rule | null = null;
  older: Rule | null = null;

  constructor({ event, state, when, counting }: Trigger) {
    this.event = event;
    this.state = state;
    this.when = when;
    this.counting = counting;
  }

  /** What it does, as it is written: "errno=28". */
  abstract readonly actionText: string;
  /** Its conditions, as they are written: "state=2", "once=on". */
  abstract conditionTexts(): readonly string[];

  /** Asks the counting conditions, when all others are met: the first that refuses; null if the rule may act. */
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

  /** Everything that makes the rule, as attributes. */
  settings(): Map<string, string> {
    const texts = [`event=${eventName(this.event)}`, this.actionText, ...this.conditionTexts()];
    // A text may hold two attributes: "probability=0.5 seed=1". No word of a command holds a space.
    return new Map(texts.flatMap((text) => text.split(' ')).map(splitSetting));
  }
}

function splitSetting(text: string): [string, string] {
  const equals = text.indexOf('=');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

/** The texts of conditions that were given. */
export function textsOf(conditions: readonly (Condition | null)[]): string[] {
  return conditions.map((condition) => condition?.toString() ?? '').filter((text) => text !== '');
}

/** The conditions that are there. */
export function present<T extends Condition>(...conditions: (T | null)[]): T[] {
  return conditions.filter((condition) => condition !== null);
}

/** The event of a rule. EINVAL if there is none of this name. */
export function parseEvent(name: string | undefined): DebugEvent {
  if (name === undefined) throw new BlockError(Errno.EINVAL, 'Missing event name for rule');
  const event = eventByName(name);
  if (event === undefined) throw new BlockError(Errno.EINVAL, `invalid parameter value: ${name}`);
  return event;
}
