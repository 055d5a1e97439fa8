/**
 * The rules of one node, found by event, by number and by tag; and the state machine that they drive.
 *
 * Made for tables of any size: an event without rules costs one look into an array, and nothing walks over the rules of
 * other events.
 */
import { type DebugEvent, eventNames } from '../../block/events/events.ts';
import type { StateChange } from '../../block/debug/rule-book.ts';
import type { Rule } from './rules/index.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import type { SuspendRule } from './rules/suspend.ts';

/** How many changes of the state are remembered. */
const HISTORY_LENGTH = 256;
/** How many rules that are spent are kept for the views: scripts set breakpoints by the thousand. */
const SPENT_KEPT = 1000;

/** All rules of a node, spent ones among them, and the current state. */
export class RuleTable {
  state = 1;
  /** The latest changes of the state, oldest first. */
  readonly history: StateChange[] = [];
  /**
   * The inject rules that requests are held against. The last one is looked at first: of the rules of one event, this is
   * the oldest, since the newest was added first.
   */
  readonly active: InjectErrorRule[] = [];

  /** Of each event the newest armed rule; rules that are not armed are in no such list. */
  readonly #newestOf: (Rule | null)[] = eventNames.map(() => null);
  /** All rules, by rising number. */
  readonly #byNumber = new Map<number, Rule>();
  readonly #breakpointsByTag = new Map<string, Set<SuspendRule>>();
  /** Those that are spent, in the order in which that happened. */
  readonly #spent = new Set<Rule>();
  #nextNumber = 1;

  /** The newest armed rule of an event, to be followed through `older`; null if it has none. */
  newestOf(event: DebugEvent): Rule | null {
    return this.#newestOf[event] ?? null;
  }

  /** All rules, armed or not, in the order in which they were added. */
  all(): Iterable<Rule> {
    return this.#byNumber.values();
  }

  /** Of all rules, armed or not. */
  get count(): number {
    return this.#byNumber.size;
  }

  /** The rule of this number, counted from 1; undefined if it is gone or never was. */
  find(number: number): Rule | undefined {
    return this.#byNumber.get(number);
  }

  /** The armed breakpoints of a tag. */
  breakpoints(tag: string): Iterable<SuspendRule> {
    return this.#breakpointsByTag.get(tag) ?? [];
  }

  /** Whether a breakpoint of this tag is armed. */
  hasBreakpoint(tag: string): boolean {
    return this.#breakpointsByTag.has(tag);
  }

  /** Adds a rule as the newest of its event, and gives it its number. */
  add(rule: Rule): void {
    rule.number = this.#nextNumber++;
    this.#byNumber.set(rule.number, rule);
    rule.restartCounting();
    this.#arm(rule);
  }

  /** Takes a rule out for good. Its number is not given again. */
  remove(rule: Rule): void {
    this.#disarm(rule);
    this.#spent.delete(rule);
    this.#byNumber.delete(rule.number);
  }

  /** Takes a rule out of use that has done all that it may do. It stays to be seen, for a while. */
  retire(rule: Rule): void {
    if (rule.status !== 'armed') return;
    this.#disarm(rule);
    rule.status = 'spent';
    this.#spent.add(rule);
    if (this.#spent.size <= SPENT_KEPT) return;
    const [oldest] = this.#spent;
    if (oldest !== undefined) this.remove(oldest);
  }

  /** Keeps a rule from acting until `enable`. */
  disable(rule: Rule): void {
    this.#disarm(rule);
    this.#spent.delete(rule);
    rule.status = 'disabled';
  }

  /** Arms a rule that is not armed; its counting starts anew. */
  enable(rule: Rule): void {
    if (rule.status === 'armed') return;
    this.#spent.delete(rule);
    rule.restartCounting();
    this.#arm(rule);
  }

  /** Puts a new rule in the place of another, whose number and hits it takes over. If that was spent, this is armed. */
  replace(old: Rule, rule: Rule): void {
    const { status } = old;
    const place = old.kind === 'inject-error' && old.event === rule.event ? this.active.indexOf(old) : -1;
    this.#disarm(old);
    this.#spent.delete(old);
    rule.number = old.number;
    rule.hits = old.hits;
    if (rule.kind === 'inject-error' && old.kind === 'inject-error') rule.injected = old.injected;
    this.#byNumber.set(rule.number, rule);
    rule.restartCounting();
    if (status === 'disabled') {
      rule.status = 'disabled';
      return;
    }
    this.#arm(rule);
    if (place >= 0 && rule.kind === 'inject-error') {
      this.active.splice(place, 0, rule);
      rule.active = true;
    }
  }

  /** Puts a rule into the list of its event, which goes by number. */
  #arm(rule: Rule): void {
    rule.status = 'armed';
    let newer: Rule | null = null;
    let older = this.newestOf(rule.event);
    while (older !== null && older.number > rule.number) {
      newer = older;
      older = older.older;
    }
    rule.newer = newer;
    rule.older = older;
    if (older !== null) older.newer = rule;
    if (newer === null) this.#newestOf[rule.event] = rule;
    else newer.older = rule;
    if (rule.kind === 'suspend') {
      const sameTag = this.#breakpointsByTag.get(rule.tag);
      if (sameTag === undefined) this.#breakpointsByTag.set(rule.tag, new Set([rule]));
      else sameTag.add(rule);
    }
  }

  /** Takes a rule out of all lists, except that of all rules. */
  #disarm(rule: Rule): void {
    if (rule.status !== 'armed') return;
    if (rule.newer === null) this.#newestOf[rule.event] = rule.older;
    else rule.newer.older = rule.older;
    if (rule.older !== null) rule.older.newer = rule.newer;
    if (rule.kind === 'inject-error') this.#deactivate(rule);
    if (rule.kind === 'suspend') {
      const sameTag = this.#breakpointsByTag.get(rule.tag);
      sameTag?.delete(rule);
      if (sameTag?.size === 0) this.#breakpointsByTag.delete(rule.tag);
    }
  }

  /** Makes a rule active, in front of those that are; the first one of an event (`alone`) instead of them. */
  activate(rule: InjectErrorRule, alone: boolean): void {
    if (alone) {
      for (const other of this.active) other.active = false;
      this.active.length = 0;
    }
    rule.active = true;
    this.active.push(rule);
  }

  #deactivate(rule: InjectErrorRule): void {
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
