/** The rules of a node as the shell and the views see them: what a driver with rules offers beside its breakpoints. */
import type { EventName } from '../events/events.ts';

/** A breakpoint is a rule, too: one that suspends. */
export type RuleKind = 'inject-error' | 'set-state' | 'suspend';

/** `spent`: it has done all that it may do. `disabled`: somebody switched it off. */
export type RuleStatus = 'armed' | 'spent' | 'disabled';

/** Attributes of a rule by name, as they are written: "sector" is "8". */
export type RuleSettings = ReadonlyMap<string, string>;

/** One rule, for a reader. */
export interface RuleView {
  /** Counts from 1; it never changes and is never used again. */
  readonly number: number;
  readonly kind: RuleKind;
  readonly event: EventName;
  /** What it does, in a word: "ENOSPC", "→2", a tag. */
  readonly effect: string;
  /** Its conditions: "state=2 sector=8 once=on"; empty if it has none. */
  readonly conditions: string;
  /** All that makes it, its event included, as `add` takes it. */
  readonly settings: RuleSettings;
  readonly status: RuleStatus;
  /** Requests are held against it now. */
  readonly active: boolean;
  /** How often its event fired with its conditions met; what an inject-error rule asks of requests does not count here. */
  readonly hits: number;
  /** How many requests it failed; 0 for rules that fail none. */
  readonly injected: number;
  /** Why it did not act when it was looked at last; null if it did, or was never looked at. */
  readonly lastSkip: SkipReason | null;
}

/** Why a rule did not act when it was looked at last. */
export interface SkipReason {
  /** The attribute that was not met ("state", "sector", "iotype", "nth", …), or "cancelled". */
  readonly condition: string;
  /** The same for a reader: "not in state 2". */
  readonly text: string;
}

/** A change of the state, by a rule or by hand. */
export interface StateChange {
  readonly from: number;
  readonly to: number;
  /** Number of the rule that asked for it; 0 if a command did. */
  readonly rule: number;
  /** The event that the rule acted on; null if there was none. */
  readonly event: EventName | null;
  /** The request that fired it. */
  readonly request: number;
  /** When, in the loop's clock. */
  readonly timeNs: number;
}

/** What goes into a file, and what of the rules the file cannot say: a line each. */
export interface SavedRules {
  readonly text: string;
  readonly warnings: readonly string[];
}

/**
 * The rules of one node, to be read and changed while requests run. What is refused (BlockError EINVAL for settings that
 * make no rule, ENOENT for a number that is none) changes nothing.
 */
export interface RuleBook {
  /** How many rules there are. Of those that are spent only the latest are kept. */
  readonly count: number;
  /** The rules in the order in which they were made; at most `limit`, of which armed and late ones are chosen first. */
  list(limit?: number): RuleView[];
  /** Undefined for a number that is none. */
  find(number: number): RuleView | undefined;
  /** The names that settings of a kind may have, with the values that are known. */
  settingsOf(kind: RuleKind): Readonly<Record<string, readonly string[]>>;

  /** Makes a rule; its number. */
  add(kind: RuleKind, settings: RuleSettings): number;
  /** Changes what `changes` names, and takes out what it gives an empty value. A rule that was spent starts anew. */
  change(number: number, changes: RuleSettings): void;
  disable(numbers: readonly number[]): void;
  /** Arms rules that are disabled or spent; their counting starts anew. */
  enable(numbers: readonly number[]): void;
  /** Requests that a breakpoint has suspended stay so. */
  remove(numbers: readonly number[]): void;
  /** Disables the breakpoints that stay: before the image is closed, where they would hold what nobody resumes. */
  disableStaying(): void;
  /** Adds the rules of a file; their numbers. Errors of the file are QEMU's texts. */
  load(path: string): number[];
  /** The rules as a file that the original driver reads, armed as they were when they were made. */
  save(): SavedRules;

  readonly state: number;
  /** The latest changes of the state, oldest first. */
  readonly stateChanges: readonly StateChange[];
  /** Sets the state by hand. */
  setState(state: number): void;
}
