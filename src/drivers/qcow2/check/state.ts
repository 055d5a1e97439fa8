/** The state of a check: its counts, what it may repair, and how its messages begin. */
import type { RefcountMap } from './map.ts';

/** The counts of a check: problems found and repaired, counted as `qemu-img check` counts it. */
export interface CheckResult {
  corruptions: number;
  leaks: number;
  checkErrors: number;
  corruptionsFixed: number;
  leaksFixed: number;
}

/** The problems that a check may repair. A leak only wastes space; an error endangers data. */
export interface FixMode {
  readonly fixesLeaks: boolean;
  readonly fixesErrors: boolean;
}

/** A check under way; `needsRebuild` if the refcount structures are beyond repair. */
export interface CheckState {
  readonly result: CheckResult;
  readonly fix: FixMode;
  readonly map: RefcountMap;
  needsRebuild: boolean;
}

/** All counts 0. */
export function emptyResult(): CheckResult {
  return { corruptions: 0, leaks: 0, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 };
}

/** Adds the counts of `part` to those of `sum`. */
export function addResult(sum: CheckResult, part: CheckResult): void {
  for (const key of Object.keys(sum) as (keyof CheckResult)[]) sum[key] += part[key];
}

/** The first word of a message about a problem that is repaired, or that would have to be. */
export function verb(repairs: boolean): string {
  return repairs ? 'Repairing' : 'ERROR';
}
