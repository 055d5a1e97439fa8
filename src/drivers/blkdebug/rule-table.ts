/**
 * The rules of one node, found by event, by number and by tag; and the state machine that they drive.
 *
 * Made for tables of any size: an event without rules costs one look into an array, and nothing walks over the rules of
 * other events.
 */
import { type DebugEvent, eventNames } from '../../block/events.ts';
import type { Rule } from './rules/index.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import type { SetStateRule } from './rules/set-state.ts';
import type { SuspendRule } from './rules/suspend.ts';

/** A change of the state, as it is remembered. */
export interface StateChange {
  readonly from: number;
  readonly to: number;
  /** Number of the rule that asked for it. */
  readonly rule: number;
  readonly event: DebugEvent;
  /** When, in the loop's clock. */
  readonly timeNs: number;
}

/** How many changes of the state are remembered. */
const HISTORY_LENGTH = 256;

export class RuleTable {
  state = 1;
  /** The latest changes of the state, oldest first. */
  readonly history: StateChange[] = [];
  /**
   * The inject rules that requests are held against. The last one is looked at first: of the rules of one event, this is
   * the oldest, since the newest was added first.
   */
  readonly active: InjectErrorRule[] = [];

  readonly #newestOf: (Rule | null)[] = eventNames.map(() => null);
  readonly #byNumber = new Map<number, Rule>();
  readonly #breakpointsByTag = new Map<string, Set<SuspendRule>>();
  #nextNumber = 1;

  /** The newest rule of an event, to be followed through `older`; null if it has none. */
  newestOf(event: DebugEvent): Rule | null {
    return this.#newestOf[event] ?? null;
  }

  /** All rules, in the order in which they were added. */
  all(): Iterable<Rule> {
    return this.#byNumber.values();
  }

  /** The breakpoints of a tag that nothing has hit yet. */
  breakpoints(tag: string): Iterable<SuspendRule> {
    return this.#breakpointsByTag.get(tag) ?? [];
  }

  hasBreakpoint(tag: string): boolean {
    return this.#breakpointsByTag.has(tag);
  }

  /** Adds a rule as the newest of its event, and gives it its number. */
  add(rule: Rule): void {
    rule.number = this.#nextNumber++;
    this.#byNumber.set(rule.number, rule);
    const older = this.newestOf(rule.event);
    rule.older = older;
    if (older !== null) older.newer = rule;
    this.#newestOf[rule.event] = rule;
    if (rule.kind === 'suspend') {
      const sameTag = this.#breakpointsByTag.get(rule.tag);
      if (sameTag === undefined) this.#breakpointsByTag.set(rule.tag, new Set([rule]));
      else sameTag.add(rule);
    }
  }

  remove(rule: Rule): void {
    this.#byNumber.delete(rule.number);
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

  /** Does what a set-state rule says. False if that is the state already. */
  changeState(rule: SetStateRule, timeNs: number): boolean {
    const from = this.state;
    const to = rule.newState;
    if (from === to) return false;
    this.state = to;
    this.history.push({ from, to, rule: rule.number, event: rule.event, timeNs });
    if (this.history.length > HISTORY_LENGTH) this.history.shift();
    return true;
  }
}
