/** A rule as plain values for commands, snapshots and recordings. */
import { eventName } from '../../block/events/events.ts';
import type { RuleView } from '../../block/debug/rules.ts';
import { errnoName } from '../../util/errno.ts';
import type { Rule } from './rules/index.ts';
import { conditionTexts, settingTexts } from './rules/settings.ts';

/** A copy of a rule as it is now, which later hits do not change. */
export function viewRule(rule: Rule): RuleView {
  const { number, kind, hits, status, lastSkip, settings } = rule;
  const isInject = rule.kind === 'inject-error';
  return {
    number,
    kind,
    event: eventName(rule.event),
    effect: effectOf(rule),
    conditions: conditionTexts(settings).join(' '),
    settings: Object.fromEntries(settingTexts(settings)),
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
