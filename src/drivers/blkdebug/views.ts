/** What a rule lets be seen, as plain values that do not change any more. */
import { eventName } from '../../block/events/events.ts';
import type { RuleView } from '../../block/debug/rule-book.ts';
import { errnoName } from '../../util/errno.ts';
import type { Rule } from './rules/index.ts';

/** A rule as commands and panels show it: a copy, which later hits do not change. */
export function viewRule(rule: Rule): RuleView {
  const { number, kind, hits, status, lastSkip } = rule;
  const isInject = rule.kind === 'inject-error';
  return {
    number,
    kind,
    event: eventName(rule.event),
    effect: effectOf(rule),
    conditions: rule.conditionTexts().join(' '),
    settings: rule.settings(),
    status,
    active: isInject && rule.active,
    hits,
    injected: isInject ? rule.injected : 0,
    lastSkip: lastSkip === null ? null : { condition: lastSkip.name, text: lastSkip.unmet() },
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
