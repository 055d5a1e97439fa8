/** The rules of a blkdebug node as commands read and change them while requests run. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import type { RuleKind, Rules, RuleView, RuleWords, SavedRules, StateChange } from '../../block/debug/rules.ts';
import { Errno } from '../../util/errno.ts';
import { changeState, fireNoneLate } from './match.ts';
import { readRules } from './options.ts';
import type { RuleTable } from './rule-table.ts';
import { viewRule } from './rule-view.ts';
import { type Rule, ruleFromWords } from './rules/index.ts';
import { knownSettings } from './rules/settings.ts';
import { saveRules } from './save.ts';
import type { BlkdebugNode } from './state.ts';

/** The rules of one node. Throws EINVAL with the text for the user where words make no rule. */
export class RuleEditor implements Rules {
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

  add(kind: RuleKind, words: RuleWords): number {
    const rule = ruleFromWords(kind, words, this.#node.state.context);
    this.#table.add(rule);
    this.#catchUp([rule]);
    return rule.number;
  }

  change(number: number, changes: RuleWords): void {
    const old = this.#rule(number);
    const rule = ruleFromWords(old.kind, changes, this.#node.state.context, old);
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

  disableBreakpoints(): void {
    this.#node.state.stops.clear(null);
    for (const rule of this.#table.all()) {
      if (rule.tag !== null && rule.status === 'armed') this.#table.disable(rule);
    }
  }

  endDelays(): void {
    this.#node.state.hasDelays = false;
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

  /** The event `none` fired when the image was opened: rules that are armed for it only now are evaluated now. */
  #catchUp(rules: readonly Rule[]): void {
    const isLate = (rule: Rule): boolean =>
      rule.event === Event.NONE &&
      rule.status === 'armed' &&
      rule.kind !== 'suspend' &&
      rule.kind !== 'watch' &&
      !(rule.checksRequests && rule.active);
    const late = rules.filter(isLate);
    if (late.length > 0) fireNoneLate(this.#node, new Set(late));
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
