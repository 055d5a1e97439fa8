/**
 * The variants of rules, and the factories that make one: of a section of a file or of options, or of a command's
 * words.
 */
import type { WatchedPlaces } from '../../../block/debug/port.ts';
import type { RuleKind, RuleWords } from '../../../block/debug/rules.ts';
import { invalidArgument } from '../../../block/error.ts';
import type { Options } from '../../../block/options/options.ts';
import { takeAttributes } from '../attributes.ts';
import type { FaultRule } from '../actions/fault.ts';
import { makeFault } from '../actions/index.ts';
import { LogRule } from '../actions/log.ts';
import { BreakpointRule } from './breakpoint.ts';
import type { EventContext } from './condition.ts';
import { InjectErrorRule } from './inject-error.ts';
import { SetStateRule } from './set-state.ts';
import { qemuTypes, type RuleSettings, settingsFromSection, settingsFromWords } from './settings.ts';
import { IoBreakpoint, WatchRule } from './stopping-rule.ts';

/** A rule of any action. */
export type Rule = InjectErrorRule | SetStateRule | BreakpointRule | IoBreakpoint | WatchRule | LogRule | FaultRule;

/**
 * Kinds of sections, in the order in which QEMU makes rules of them. Breakpoints have none: they are set by command.
 */
export const ruleGroups = ['inject-error', 'set-state'] as const;

/** The name of a section of a config file, and of a group of options. */
export type RuleGroup = (typeof ruleGroups)[number];

/** Makes the rule of a section whose values are of the right types. EINVAL for an unknown event or I/O type. */
export type RuleMaker = () => Rule;

/**
 * Takes a section's attributes out of `options`. EINVAL for values of the wrong type and, if `refuseOthers`, for
 * attributes that the group does not have. The rule is made later, since QEMU reads all sections before it makes a
 * rule.
 */
export function readSection(group: RuleGroup, options: Options, refuseOthers: boolean): RuleMaker {
  const attributes = takeAttributes(options, qemuTypes[group], refuseOthers);
  return () => makeRule(group, settingsFromSection(group, attributes));
}

/**
 * Makes the rule that a command describes, for the node of `context`; with `old` the one that replaces it, whose
 * settings the words change. EINVAL for words that make none.
 */
export function ruleFromWords(kind: RuleKind, words: RuleWords, context: EventContext, old?: Rule): Rule {
  const places = old?.kind === 'watch' ? old.places : undefined;
  return checkedRule(kind, words, context, old, places);
}

/** Makes the watch that the words of a command describe. EINVAL for words that make none. */
export function watchFromWords(words: RuleWords, context: EventContext, places: WatchedPlaces): Rule {
  return checkedRule('watch', words, context, undefined, places);
}

function checkedRule(
  kind: RuleKind,
  words: RuleWords,
  context: EventContext,
  old: Rule | undefined,
  places: WatchedPlaces | undefined,
): Rule {
  const settings = settingsFromWords(kind, words, old?.settings);
  const { node } = settings;
  if (node !== undefined && !context.isBelow(node)) {
    throw invalidArgument(`'node' expects a node or driver above the rules, not '${node}'`);
  }
  return makeRule(kind, settings, places);
}

function makeRule(kind: RuleKind, settings: RuleSettings, places?: WatchedPlaces): Rule {
  switch (kind) {
    case 'inject-error':
      return new InjectErrorRule(settings);
    case 'set-state':
      return new SetStateRule(settings);
    case 'suspend':
      return asksForIo(settings) ? new IoBreakpoint(settings) : new BreakpointRule(settings);
    case 'watch':
      if (places === undefined) throw invalidArgument('a watch is made by the command watch');
      return new WatchRule(settings, places);
    case 'log':
      return new LogRule(settings);
    default:
      return makeFault(kind, settings);
  }
}

/** Whether a breakpoint waits for a request to the file, not for the event alone. */
function asksForIo({ iotype, sector }: RuleSettings): boolean {
  return iotype !== undefined || sector !== undefined;
}
