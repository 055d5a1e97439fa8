/** The rules of a blkdebug node as the shell reads and changes them while requests run. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import type {
  RuleBook,
  RuleKind,
  RuleSettings,
  RuleView,
  SavedRules,
  StateChange,
} from '../../block/debug/rule-book.ts';
import { Errno } from '../../util/errno.ts';
import { catchUp, changeState } from './match.ts';
import { readRules } from './options.ts';
import type { RuleTable } from './rule-table.ts';
import { knownSettings, makeRule, type Rule } from './rules/index.ts';
import { saveRules } from './save.ts';
import type { BlkdebugNode } from './state.ts';
import { viewRule } from './views.ts';

/** The rules of one node. Throws EINVAL with the text for the user where settings make no rule. */
export class BlkdebugRuleBook implements RuleBook {
  readonly #node: BlkdebugNode;
  readonly #table: RuleTable;

  constructor(node: BlkdebugNode) {
    this.#node = node;
    this.#table = node.state.rules;
  }

  get count(): number {
    return this.#table.count;
  }

  list(limit = Number.POSITIVE_INFINITY): RuleView[] {
    const all = [...this.#table.all()];
    return (all.length <= limit ? all : choose(all, limit)).map(viewRule);
  }

  find(number: number): RuleView | undefined {
    const rule = this.#table.find(number);
    return rule === undefined ? undefined : viewRule(rule);
  }

  settingsOf(kind: RuleKind): Readonly<Record<string, readonly string[]>> {
    return knownSettings(kind);
  }

  add(kind: RuleKind, settings: RuleSettings): number {
    const rule = makeRule(kind, settings, this.#node);
    this.#table.add(rule);
    this.#catchUp([rule]);
    return rule.number;
  }

  change(number: number, changes: RuleSettings): void {
    const old = this.#rule(number);
    const settings = old.settings();
    for (const [name, value] of changes) {
      if (value === '') settings.delete(name);
      else settings.set(name, value);
    }
    // The seed goes with the dice.
    if (!settings.has('probability') && !changes.has('seed')) settings.delete('seed');
    const rule = makeRule(old.kind, settings, this.#node);
    this.#table.replace(old, rule);
    this.#catchUp([rule]);
  }

  disable(numbers: readonly number[]): void {
    for (const rule of this.#rules(numbers)) this.#table.disable(rule);
  }

  enable(numbers: readonly number[]): void {
    const rules = this.#rules(numbers).filter(({ status }) => status !== 'armed');
    for (const rule of rules) this.#table.enable(rule);
    this.#catchUp(rules);
  }

  remove(numbers: readonly number[]): void {
    for (const rule of this.#rules(numbers)) this.#table.remove(rule);
  }

  disableStaying(): void {
    for (const rule of this.#table.all()) {
      if (rule.kind === 'suspend' && !rule.once && rule.status === 'armed') this.#table.disable(rule);
    }
  }

  load(path: string): number[] {
    const rules = readRules(path);
    for (const rule of rules) this.#table.add(rule);
    this.#catchUp(rules);
    return rules.map(({ number }) => number);
  }

  save(): SavedRules {
    return saveRules(this.#table.all());
  }

  get state(): number {
    return this.#table.state;
  }

  get stateChanges(): readonly StateChange[] {
    return [...this.#table.history];
  }

  setState(state: number): void {
    changeState(this.#node, state, null);
  }

  #rule(number: number): Rule {
    const rule = this.#table.find(number);
    if (rule === undefined) throw new BlockError(Errno.ENOENT, `there is no rule ${number}`);
    return rule;
  }

  #rules(numbers: readonly number[]): Rule[] {
    return numbers.map((number) => this.#rule(number));
  }

  /** The event `none` fired when the image was opened: rules that are armed for it only now are looked at now. */
  #catchUp(rules: readonly Rule[]): void {
    const isLate = (rule: Rule): boolean =>
      rule.event === Event.NONE &&
      rule.status === 'armed' &&
      rule.kind !== 'suspend' &&
      !(rule.kind === 'inject-error' && rule.active);
    const late = rules.filter(isLate);
    if (late.length > 0) catchUp(this.#node, new Set(late));
  }
}

/** The latest `limit` rules, those that are armed before others, in their order. */
function choose(rules: readonly Rule[], limit: number): Rule[] {
  const isArmed = ({ status }: Rule): boolean => status === 'armed';
  const armed = rules.filter(isArmed).slice(-limit);
  const room = limit - armed.length;
  const others = room === 0 ? [] : rules.filter((rule) => !isArmed(rule)).slice(-room);
  return [...armed, ...others].sort((a, b) => a.number - b.number);
}
