/** The rules of a node as commands, views and recordings see and change them. */
import type { EventName } from '../events/events.ts';

/** Faults: rules that spoil requests instead of failing them. Only blkscope has them. */
export const faultKinds = ['hang', 'drop', 'tear', 'corrupt', 'misdirect', 'bad-sector', 'fsync-once'] as const;

/** A kind of fault. */
export type FaultKind = (typeof faultKinds)[number];

/** The kinds of rules. Breakpoints suspend at an event, watches at a change of the file. */
export const ruleKinds = ['inject-error', 'set-state', 'suspend', 'watch', 'log', ...faultKinds] as const;

/** A kind of rule. */
export type RuleKind = (typeof ruleKinds)[number];

/** The event of a breakpoint or log point that acts at any event. */
export const anyEventName = '*';

/** `exhausted`: it has acted as often as it may. `disabled`: switched off by a command. */
export type RuleStatus = 'armed' | 'exhausted' | 'disabled';

/** Settings of a rule as words, by name: "sector" is "8". How a user gives them. */
export type RuleWords = ReadonlyMap<string, string>;

/** One rule at one moment: plain values, as they also stand in snapshots and recordings. */
export interface RuleView {
  /** Counts from 1; never changes and is never used again. */
  readonly number: number;
  readonly kind: RuleKind;
  /** "*" for any event. */
  readonly event: EventName | typeof anyEventName;
  /** Its action in a word: "ENOSPC", "→2", a tag. */
  readonly effect: string;
  /** Its conditions: "state=2 sector=8 once=on"; empty if it has none. */
  readonly conditions: string;
  /** All that makes it, its event included, as `add` takes it. */
  readonly settings: Readonly<Record<string, string>>;
  readonly status: RuleStatus;
  /** An inject-error rule or a fault whose event has fired: requests are checked against it now. */
  readonly active: boolean;
  /**
   * How often its event fired with its conditions met; what an inject-error rule or a fault asks of requests does
   * not count here.
   */
  readonly hits: number;
  /** How many requests it failed or spoiled; 0 for rules that act on none. */
  readonly injected: number;
  /** Why it did not act when it was evaluated last; null if it did, or never was. */
  readonly lastSkip: SkipReason | null;
}

/** Why a rule did not act when it was evaluated last. */
export interface SkipReason {
  /** The setting that was not met ("state", "sector", "iotype", "nth", …), or "cancelled". */
  readonly condition: string;
  /** The reason for a reader: "not in state 2". */
  readonly text: string;
}

/** A change of the state, by a rule or by a command. */
export interface StateChange {
  readonly from: number;
  readonly to: number;
  /** Number of the rule that asked for it; 0 if a command did. */
  readonly rule: number;
  /** The event that the rule acted on; null if there was none. */
  readonly event: EventName | null;
  /** The request that fired it, and what it does; 0 and empty outside of requests. */
  readonly request: number;
  readonly operation: string;
  /** When, in nanoseconds of the loop's clock. */
  readonly timeNs: number;
}

/** Rules as the text of a config file, and a line for each thing that such a file cannot say. */
export interface SavedRules {
  readonly text: string;
  readonly warnings: readonly string[];
}

/**
 * The rules of one node, to be read and changed while requests run. What is refused (BlockError EINVAL for words that
 * make no rule, ENOENT for an unknown number) changes nothing.
 */
export interface Rules {
  /** How many rules there are. Of exhausted rules only the latest are kept. */
  readonly count: number;
  /** The rules in the order in which they were made; at most `limit`, of which armed and late ones are chosen first. */
  list(limit?: number): RuleView[];
  /** Undefined for an unknown number. */
  find(number: number): RuleView | undefined;
  /** The names of the settings that a kind has, each with its known values. */
  settingsOf(kind: RuleKind): Readonly<Record<string, readonly string[]>>;

  /** Makes a rule; its number. */
  add(kind: RuleKind, words: RuleWords): number;
  /** Changes the settings named in `changes`, and removes those with an empty value. An exhausted rule starts anew. */
  change(number: number, changes: RuleWords): void;
  disable(numbers: readonly number[]): void;
  /** Arms rules that are disabled or exhausted; their counting starts anew. */
  enable(numbers: readonly number[]): void;
  /** Requests that a removed breakpoint has suspended stay suspended. */
  remove(numbers: readonly number[]): void;
  /**
   * Disables every breakpoint and watch, and forgets the stops of stepping. Called before close, so that close-time I/O
   * cannot be suspended.
   */
  disableBreakpoints(): void;
  /** From now on no rule lets a request wait before it fails or goes on. */
  endDelays(): void;
  /** Adds the rules of a config file; their numbers. Errors of the file are QEMU's texts. */
  load(path: string): number[];
  /** The rules as a config file that QEMU's blkdebug reads, armed as they were when they were made. */
  save(): SavedRules;

  readonly state: number;
  /** The latest changes of the state, oldest first. */
  readonly stateChanges: readonly StateChange[];
  /** Sets the state by command. */
  setState(state: number): void;
}
