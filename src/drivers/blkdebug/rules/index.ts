/** The variants of rules, and the factory that makes one from a section of a config file or of options. */
import type { Options } from '../../../block/options.ts';
import { takeAttributes } from '../attributes.ts';
import { InjectErrorRule, injectErrorTypes } from './inject-error.ts';
import { SetStateRule, setStateTypes } from './set-state.ts';
import type { SuspendRule } from './suspend.ts';

export type Rule = InjectErrorRule | SetStateRule | SuspendRule;

/** Kinds of sections, in the order in which QEMU makes rules of them. Breakpoints have none: they are set by command. */
export const ruleGroups = ['inject-error', 'set-state'] as const;

export type RuleGroup = (typeof ruleGroups)[number];

/** Makes the rule of a section whose values are of the right types. EINVAL for an event or I/O type that is none. */
export type RuleMaker = () => Rule;

/**
 * Takes a section's attributes out of `options`. EINVAL for values of the wrong type and, if `refuseOthers`, for
 * attributes that the group has not. The rule is made later, since QEMU reads all sections before it makes a rule.
 */
export function readSection(group: RuleGroup, options: Options, refuseOthers: boolean): RuleMaker {
  switch (group) {
    case 'inject-error': {
      const attributes = takeAttributes(options, injectErrorTypes, refuseOthers);
      return () => InjectErrorRule.parse(attributes);
    }
    case 'set-state': {
      const attributes = takeAttributes(options, setStateTypes, refuseOthers);
      return () => SetStateRule.parse(attributes);
    }
  }
}
