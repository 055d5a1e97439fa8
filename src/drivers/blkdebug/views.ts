/** What a blkdebug node lets be seen of its rules and its state, as plain values that do not change any more. */
import { type EventName, eventName } from '../../block/events.ts';
import { errnoName } from '../../util/errno.ts';
import type { StateChange } from './rule-table.ts';
import type { Rule } from './rules/index.ts';
import type { BlkdebugNode } from './state.ts';

export interface RuleView {
  readonly number: number;
  readonly kind: Rule['kind'];
  readonly event: EventName;
  /** Conditions and action: "state=2 errno=28 once=on". */
  readonly text: string;
  /** What it does, in a word: "ENOSPC", "→2", a tag. */
  readonly effect: string;
  /** The text without what `effect` says. */
  readonly conditions: string;
  /** How often its event fired with its state. */
  readonly hits: number;
  /** How many requests it failed; 0 for rules that fail none. */
  readonly injected: number;
  /** Requests are held against it now. */
  readonly active: boolean;
  /** Why it did not act when it was looked at last; null if it did, or was never looked at. */
  readonly lastSkip: string | null;
}

export interface StateView {
  readonly state: number;
  /** The latest changes, oldest first. */
  readonly changes: readonly StateChange[];
}

/** The rules that exist, in the order in which they were made; breakpoints that are set among them. */
export function blkdebugRules(node: BlkdebugNode): RuleView[] {
  return Array.from(node.state.rules.all(), viewRule);
}

function viewRule(rule: Rule): RuleView {
  const { number, kind, hits } = rule;
  const isInject = rule.kind === 'inject-error';
  return {
    number,
    kind,
    event: eventName(rule.event),
    text: rule.describe(),
    effect: effectOf(rule),
    conditions: rule
      .describe()
      .replace(/ ?(?:errno|new_state|tag)=\S*/, '')
      .trim(),
    hits,
    injected: isInject ? rule.injected : 0,
    active: isInject && rule.active,
    lastSkip: rule.lastSkip?.unmet() ?? null,
  };
}

function effectOf(rule: Rule): string {
  switch (rule.kind) {
    case 'inject-error':
      return errnoName(rule.errno) ?? String(rule.errno);
    case 'set-state':
      return `→${rule.newState}`;
    case 'suspend':
      return rule.tag;
  }
}

export function blkdebugState(node: BlkdebugNode): StateView {
  return { state: node.state.rules.state, changes: [...node.state.rules.history] };
}
