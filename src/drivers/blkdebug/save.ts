/** Rules as the text of a config file that QEMU's blkdebug reads, and what of them it cannot say there. */
import type { SavedRules } from '../../block/debug/rule-book.ts';
import type { Rule, RuleGroup } from './rules/index.ts';
import { liveNames } from './rules/live.ts';

/**
 * The file does it all again from the beginning, in state 1: rules that are spent are armed in it. Rules that are disabled
 * stand there as comments. Breakpoints and the conditions that QEMU has not are left out, each with a warning.
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
    const settings = rule.settings();
    if (status === 'disabled') {
      warnings.push(`rule ${number} is disabled and becomes a comment`);
      sections.push(sectionText(rule.kind, settings).replaceAll(/^/gm, '# '));
      continue;
    }
    for (const condition of takeUnsayable(rule, settings)) warnings.push(`rule ${number}: ${condition} is left out`);
    sections.push(sectionText(rule.kind, settings));
  }
  return { text: sections.map((section) => `${section}\n`).join('\n'), warnings };
}

/** Takes out the conditions that QEMU has not, unless there are other words for them; what was lost, as text. */
function takeUnsayable(rule: Rule, settings: Map<string, string>): string[] {
  const lost: string[] = [];
  const seed = settings.get('seed');
  for (const name of liveNames) {
    const value = settings.get(name);
    if (value === undefined) continue;
    settings.delete(name);
    if (name === 'seed') continue;
    const isOnce = (name === 'times' || name === 'nth') && value === '1';
    // A rule of errno 0 lets requests pass, and is not used up by that.
    if (isOnce && rule.kind === 'inject-error' && rule.errno !== 0) settings.set('once', 'on');
    else lost.push(`${name}=${value}${name === 'probability' && seed !== undefined ? ` seed=${seed}` : ''}`);
  }
  return lost;
}

function sectionText(group: RuleGroup, settings: ReadonlyMap<string, string>): string {
  return [`[${group}]`, ...Array.from(settings, ([name, value]) => `${name} = "${value}"`)].join('\n');
}
