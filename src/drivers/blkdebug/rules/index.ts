/** The variants of rules, and the factories that make one: of a section of a file or of options, or of a command. */
import { invalidArgument } from '../../../block/error.ts';
import { eventByName, eventNames } from '../../../block/events/events.ts';
import { Options } from '../../../block/options/options.ts';
import type { RuleKind, RuleSettings } from '../../../block/debug/rule-book.ts';
import { errnoByName } from '../../../util/errno.ts';
import { takeAttributes } from '../attributes.ts';
import type { BlkdebugNode } from '../state.ts';
import { ioTypeNames } from './condition.ts';
import { InjectErrorRule, injectErrorTypes } from './inject-error.ts';
import { liveNames, takeLiveConditions } from './live.ts';
import { SetStateRule, setStateTypes } from './set-state.ts';
import { SuspendRule, suspendTypes } from './suspend.ts';

/** A rule of any action. */
export type Rule = InjectErrorRule | SetStateRule | SuspendRule;

/** Kinds of sections, in the order in which QEMU makes rules of them. Breakpoints have none: they are set by command. */
export const ruleGroups = ['inject-error', 'set-state'] as const;

/** The name of a section of a config file, and of a group of options. */
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

const typesOf = { 'inject-error': injectErrorTypes, 'set-state': setStateTypes, suspend: suspendTypes } as const;

const needed: Readonly<Record<RuleKind, readonly string[]>> = {
  'inject-error': ['event'],
  'set-state': ['event', 'new_state'],
  suspend: ['event', 'tag'],
};

const knownValues: ReadonlyMap<string, readonly string[]> = new Map([
  ['event', eventNames],
  ['iotype', ioTypeNames],
  ['errno', ['EIO', 'ENOSPC', 'EINVAL', 'ENOMEM', 'EPERM', 'EACCES', 'EAGAIN', 'ENOTSUP', 'ECANCELED', 'EDQUOT']],
  ['once', ['on', 'off']],
  ['immediately', ['on', 'off']],
]);

/** The settings that a command may give for a kind, with the values that are known. */
export function knownSettings(kind: RuleKind): Readonly<Record<string, readonly string[]>> {
  const names = [...Object.keys(typesOf[kind]), ...liveNames];
  return Object.fromEntries(names.map((name) => [name, knownValues.get(name) ?? []]));
}

/** Makes the rule that a command describes, for `node`. EINVAL for settings that make none. */
export function makeRule(kind: RuleKind, settings: RuleSettings, node: BlkdebugNode): Rule {
  checkNames(kind, settings);
  const given = new Map(settings);
  const live = takeLiveConditions(given, node);
  const errno = given.get('errno');
  if (errno !== undefined) given.set('errno', errnoNumber(errno));
  const options = new Options(given);
  switch (kind) {
    case 'inject-error':
      return InjectErrorRule.parse(takeAttributes(options, injectErrorTypes), live);
    case 'set-state':
      return SetStateRule.parse(takeAttributes(options, setStateTypes), live);
    case 'suspend':
      return SuspendRule.parse(takeAttributes(options, suspendTypes), live);
  }
}

function checkNames(kind: RuleKind, given: RuleSettings): void {
  const what = kind === 'suspend' ? 'a breakpoint' : kind;
  for (const name of given.keys()) {
    const isKnown = Object.hasOwn(typesOf[kind], name) || liveNames.some((live) => live === name);
    if (!isKnown) throw invalidArgument(`${what} has no '${name}'`);
  }
  for (const name of needed[kind]) if (!given.has(name)) throw invalidArgument(`${what} needs '${name}'`);
  const event = given.get('event') ?? '';
  if (eventByName(event) === undefined) throw invalidArgument(`there is no event '${event}'`);
}

/** "ENOSPC" as "28"; whatever does not look like a name is left to the parser of numbers. */
function errnoNumber(text: string): string {
  if (!/^[A-Za-z]/.test(text)) return text;
  const errno = errnoByName(text.toUpperCase());
  if (errno === undefined) throw invalidArgument(`there is no errno '${text}'`);
  return String(errno);
}
