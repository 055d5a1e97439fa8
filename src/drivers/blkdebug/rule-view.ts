/** A rule as plain values for commands, snapshots and recordings. */
import type { RuleView } from '../../block/debug/rules.ts';
import { errnoName } from '../../util/errno.ts';
import type { Rule } from './rules/index.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import { ruleEventName } from './rules/rule.ts';
import { conditionTexts, settingTexts } from './rules/settings.ts';

/** A copy of a rule as it is now, which later hits do not change. */
export function viewRule(rule: Rule): RuleView {
  const { number, kind, hits, status, lastSkip, settings } = rule;
  return {
    number,
    kind,
    event: ruleEventName(rule.event),
    effect: effectOf(rule),
    conditions: conditionTexts(settings).join(' '),
    settings: Object.fromEntries(settingTexts(settings)),
    status,
    active: rule.checksRequests && rule.active,
    hits,
    injected: rule.checksRequests ? rule.injected : 0,
    lastSkip: lastSkip === null ? null : { condition: lastSkip.name, text: lastSkip.unmet() },
  };
}

function effectOf(rule: Rule): string {
  switch (rule.kind) {
    case 'inject-error':
      return injectedText(rule);
    case 'set-state':
      return `→${rule.newState}`;
    case 'suspend':
    case 'watch':
      return rule.tag;
    case 'log':
      return rule.text;
    default:
      return rule.effect;
  }
}

/** "EIO", "EIO after 2000000ns", or for a delay alone "2000000ns". */
function injectedText({ errno, delayNs }: InjectErrorRule): string {
  const error = errnoName(errno) ?? String(errno);
  if (delayNs === 0) return error;
  return errno === 0 ? `${delayNs}ns` : `${error} after ${delayNs}ns`;
}
