/** Rules as the text of a config file that QEMU's blkdebug reads, and a list of what such a file cannot say. */
import type { SavedRules } from '../../block/debug/rules.ts';
import type { Rule, RuleGroup } from './rules/index.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import type { SetStateRule } from './rules/set-state.ts';
import { ownNames, type SettingName, settingTexts } from './rules/settings.ts';

/**
 * The file starts again from the beginning, in state 1: exhausted rules are armed in it, and disabled ones are
 * comments. Breakpoints, log points, faults, and the conditions that QEMU does not have are left out, each with a
 * warning.
 */
export function saveRules(rules: Iterable<Rule>): SavedRules {
  const sections: string[] = [];
  const warnings: string[] = [];
  for (const rule of rules) {
    const { number, status } = rule;
    if (rule.kind === 'suspend') {
      if (status === 'armed') warnings.push(`rule ${number}: breakpoint '${rule.tag}' is left out`);
      continue;
    }
    if (rule.kind !== 'inject-error' && rule.kind !== 'set-state') {
      warnings.push(`rule ${number}: ${rule.kind} is left out`);
      continue;
    }
    const texts = settingTexts(rule.settings);
    if (status === 'disabled') {
      warnings.push(`rule ${number} is disabled and becomes a comment`);
      sections.push(sectionText(rule.kind, texts).replaceAll(/^/gm, '# '));
      continue;
    }
    for (const condition of takeUnsayable(rule, texts)) warnings.push(`rule ${number}: ${condition} is left out`);
    sections.push(sectionText(rule.kind, texts));
  }
  return { text: sections.map((section) => `${section}\n`).join('\n'), warnings };
}

/** Removes the conditions that QEMU does not have, unless it has other words for them; those that are lost, as text. */
function takeUnsayable(rule: InjectErrorRule | SetStateRule, texts: Map<SettingName, string>): string[] {
  const lost: string[] = [];
  const seed = texts.get('seed');
  for (const name of ownNames) {
    const value = texts.get(name);
    if (value === undefined) continue;
    texts.delete(name);
    if (name === 'seed') continue;
    const isOnce = (name === 'times' || name === 'nth' || name === 'when') && value === '1';
    // A rule of errno 0 lets requests pass, and is not exhausted by that.
    if (isOnce && rule.kind === 'inject-error' && rule.errno !== 0) texts.set('once', 'on');
    else lost.push(`${name}=${value}${name === 'probability' && seed !== undefined ? ` seed=${seed}` : ''}`);
  }
  return lost;
}

function sectionText(group: RuleGroup, texts: ReadonlyMap<string, string>): string {
  return [`[${group}]`, ...Array.from(texts, ([name, value]) => `${name} = "${value}"`)].join('\n');
}
