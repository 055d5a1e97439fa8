/** Puts changes of the rule table on the event bus. */
import type { RuleChange } from '../../block/events/trace.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { viewRule } from './rule-view.ts';
import type { Rule } from './rules/index.ts';

/** A rule that is new or has changed is announced as a whole, any other change by the rule's number. */
export function announceRuleChange({ trace, loop, nodeName }: BlockNode, kind: RuleChange, rule: Rule): void {
  trace.history.notify();
  if (!trace.active) return;
  const request = loop.current?.id ?? 0;
  const { number } = rule;
  if (kind === 'rule-added' || kind === 'rule-changed') {
    trace.emit(request, nodeName, { kind, rule: number, view: viewRule(rule) });
  } else {
    trace.emit(request, nodeName, { kind, rule: number });
  }
}
