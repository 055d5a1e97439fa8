/** What all rules have in common: an event, conditions, and a place in the table. */
import { BlockError } from '../../../block/error.ts';
import { eventByName, type DebugEvent } from '../../../block/events.ts';
import { Errno } from '../../../util/errno.ts';
import type { Condition, EventCondition } from './condition.ts';
import type { Rule } from './index.ts';

export abstract class BaseRule {
  readonly event: DebugEvent;
  /** Null: at every firing of the event. */
  readonly when: EventCondition | null;
  /** Counts from 1 in the order in which rules were made, and never changes; 0 before the rule is in a table. */
  number = 0;
  /** How often the event fired with the conditions met. */
  hits = 0;
  /** The condition that kept the rule from acting when it was looked at last; null if it did act. */
  lastSkip: Condition | null = null;
  /** Neighbours among the rules of the same event; set by the table alone. */
  newer: Rule | null = null;
  older: Rule | null = null;

  constructor(event: DebugEvent, when: EventCondition | null) {
    this.event = event;
    this.when = when;
  }

  /** What it does, and its conditions, as attributes: "errno=28 once=on". */
  abstract describe(): string;
}

/** The event of a rule. EINVAL if there is none of this name. */
export function parseEvent(name: string | undefined): DebugEvent {
  if (name === undefined) throw new BlockError(Errno.EINVAL, 'Missing event name for rule');
  const event = eventByName(name);
  if (event === undefined) throw new BlockError(Errno.EINVAL, `invalid parameter value: ${name}`);
  return event;
}
