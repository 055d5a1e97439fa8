/**
 * The rules of one node, found by event, by number and by tag; and the state machine that they drive.
 *
 * Made for tables of any size: an event without rules costs one array access, and nothing walks over the rules of other
 * events.
 */
import { eventNames } from '../../block/events/events.ts';
import type { StateChange } from '../../block/debug/rules.ts';
import type { RuleChange } from '../../block/events/trace.ts';
import type { Rule } from './rules/index.ts';
import type { FaultRule } from './actions/fault.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import type { StoppingRule } from './rules/stopping-rule.ts';

/** How many changes of the state are remembered. */
const HISTORY_LENGTH = 256;
/** How many exhausted rules are kept for the views: scripts set breakpoints by the thousand. */
const EXHAUSTED_KEPT = 1000;

/** Is told of every change of the table, after it. A rule that is removed is still as it was. */
export type RuleListener = (change: RuleChange, rule: Rule) => void;

/** A rule that requests are checked against. */
export type ActiveRule = InjectErrorRule | FaultRule;

/** All rules of a node, exhausted ones among them, and the current state. */
export class RuleTable {
  state = 1;
  /** The latest changes of the state, oldest first. */
  readonly history: StateChange[] = [];
  /**
   * The rules that requests are checked against, the last one first: of the rules of one event, this is
   * the oldest, since the newest was added first.
   */
  readonly active: ActiveRule[] = [];
  /** The armed rules that may suspend a request to the node below, by rising number. */
  stopping: readonly StoppingRule[] = [];

  /**
   * Of each event, and of any event, the newest armed rule, from which `older` leads to the others; null if there is
   * none. Set by the table alone.
   */
  readonly newestOf: (Rule | null)[] = Array.from({ length: eventNames.length + 1 }, () => null);

  /** All rules, by rising number. */
  readonly #byNumber = new Map<number, Rule>();
  readonly #breakpointsByTag = new Map<string, Set<Rule>>();
  /** Exhausted rules, in the order in which that happened. */
  readonly #exhausted = new Set<Rule>();
  readonly #listener: RuleListener;
  #nextNumber = 1;

  constructor(listener: RuleListener) {
    this.#listener = listener;
  }

  /** All rules, armed or not, in the order in which they were added. */
  all(): Iterable<Rule> {
    return this.#byNumber.values();
  }

  /** Of all rules, armed or not. */
  get count(): number {
    return this.#byNumber.size;
  }

  /** The rule of this number, counted from 1; undefined if it was removed or never existed. */
  find(number: number): Rule | undefined {
    return this.#byNumber.get(number);
  }

  /** The armed breakpoints of a tag, and the faults that suspend under it. */
  breakpoints(tag: string): Iterable<Rule> {
    return this.#breakpointsByTag.get(tag) ?? [];
  }

  /** Whether a breakpoint of this tag is armed, or a fault that suspends under it. */
  hasBreakpoint(tag: string): boolean {
    return this.#breakpointsByTag.has(tag);
  }

  /** Adds a rule as the newest of its event, and gives it its number. */
  add(rule: Rule): void {
    rule.number = this.#nextNumber++;
    this.#byNumber.set(rule.number, rule);
    rule.restartCounting();
    this.#arm(rule);
    this.#listener('rule-added', rule);
  }

  /** Removes a rule for good. Its number is not given again. */
  remove(rule: Rule): void {
    this.#disarm(rule);
    this.#exhausted.delete(rule);
    this.#byNumber.delete(rule.number);
    this.#listener('rule-removed', rule);
  }

  /** Disarms a rule that has acted as often as it may. The latest of these stay in the table to be shown. */
  exhaust(rule: Rule): void {
    if (rule.status !== 'armed') return;
    this.#disarm(rule);
    rule.status = 'exhausted';
    this.#exhausted.add(rule);
    this.#listener('rule-exhausted', rule);
    if (this.#exhausted.size <= EXHAUSTED_KEPT) return;
    const [oldest] = this.#exhausted;
    if (oldest !== undefined) this.remove(oldest);
  }

  /** Keeps a rule from acting until `enable`. */
  disable(rule: Rule): void {
    this.#disarm(rule);
    this.#exhausted.delete(rule);
    rule.status = 'disabled';
    this.#listener('rule-disabled', rule);
  }

  /** Arms a rule that is not armed; its counting starts anew. */
  enable(rule: Rule): void {
    if (rule.status === 'armed') return;
    this.#exhausted.delete(rule);
    rule.restartCounting();
    this.#arm(rule);
    this.#listener('rule-enabled', rule);
  }

  /**
   * Replaces a rule by another, which takes over number and hits. If the old one was exhausted, the new one is armed.
   */
  replace(old: Rule, rule: Rule): void {
    this.#putInPlace(old, rule);
    this.#listener('rule-changed', rule);
  }

  #putInPlace(old: Rule, rule: Rule): void {
    const { status } = old;
    const place = old.checksRequests && !isStopping(old) && old.event === rule.event ? this.active.indexOf(old) : -1;
    this.#disarm(old);
    this.#exhausted.delete(old);
    rule.number = old.number;
    rule.hits = old.hits;
    if (rule.checksRequests && old.checksRequests) rule.injected = old.injected;
    this.#byNumber.set(rule.number, rule);
    rule.restartCounting();
    if (status === 'disabled') {
      rule.status = 'disabled';
      return;
    }
    this.#arm(rule);
    if (place >= 0 && rule.checksRequests && !isStopping(rule)) {
      this.active.splice(place, 0, rule);
      rule.active = true;
    }
  }

  /** Puts a rule into the list of its event, which goes by number. */
  #arm(rule: Rule): void {
    rule.status = 'armed';
    let newer: Rule | null = null;
    let older = this.newestOf[rule.event] ?? null;
    while (older !== null && older.number > rule.number) {
      newer = older;
      older = older.older;
    }
    rule.newer = newer;
    rule.older = older;
    if (older !== null) older.newer = rule;
    if (newer === null) this.newestOf[rule.event] = rule;
    else newer.older = rule;
    if (isStopping(rule)) this.stopping = [...this.stopping, rule].sort((a, b) => a.number - b.number);
    if (rule.tag !== null) {
      const sameTag = this.#breakpointsByTag.get(rule.tag);
      if (sameTag === undefined) this.#breakpointsByTag.set(rule.tag, new Set([rule]));
      else sameTag.add(rule);
    }
  }

  /** Removes a rule from all lists, except that of all rules. */
  #disarm(rule: Rule): void {
    if (rule.status !== 'armed') return;
    if (rule.newer === null) this.newestOf[rule.event] = rule.older;
    else rule.newer.older = rule.older;
    if (rule.older !== null) rule.older.newer = rule.newer;
    if (isStopping(rule)) this.stopping = this.stopping.filter((other) => other !== rule);
    else if (rule.checksRequests) this.#deactivate(rule);
    if (rule.tag !== null) {
      const sameTag = this.#breakpointsByTag.get(rule.tag);
      sameTag?.delete(rule);
      if (sameTag?.size === 0) this.#breakpointsByTag.delete(rule.tag);
    }
  }

  /**
   * Makes a rule active, in front of those that are; the first one of an event (`alone`) instead of them, except for
   * standing ones.
   */
  activate(rule: ActiveRule, alone: boolean): void {
    if (alone) {
      let kept = 0;
      for (const other of this.active) {
        if (other.isStanding) this.active[kept++] = other;
        else other.active = false;
      }
      this.active.length = kept;
    }
    rule.active = true;
    this.active.push(rule);
  }

  #deactivate(rule: ActiveRule): void {
    if (!rule.active) return;
    rule.active = false;
    this.active.splice(this.active.indexOf(rule), 1);
  }

  /** Makes a state the current one and remembers how that came about. */
  changeState(change: StateChange): void {
    this.state = change.to;
    this.history.push(change);
    if (this.history.length > HISTORY_LENGTH) this.history.shift();
  }
}

/** Whether a rule stops requests to the node below, and is not one that spoils them. */
function isStopping(rule: Rule): rule is StoppingRule {
  return rule.checksRequests && (rule.kind === 'suspend' || rule.kind === 'watch');
}
