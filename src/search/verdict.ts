/**
 * Verdicts: what a case shows. Each is a function of the finished case and of the look at the image after it, in a file
 * of `verdicts/`, and a line in the table here.
 */
import type { Aftermath, Baseline } from './aftermath.ts';
import type { FinishedCase } from './case.ts';
import type { Violation } from './model/disk-model.ts';
import { brokenImage, lostSpace } from './verdicts/broken-image.ts';
import { endsBadly, neverEnds } from './verdicts/bad-ending.ts';
import { swallowedError } from './verdicts/swallowed-error.ts';
import { lostData, wrongData } from './verdicts/wrong-data.ts';

/** The verdicts, from the worst. A leak only wastes space, and counts as a find only where that is asked for. */
export const verdictNames = ['wrong data', 'corrupt', 'lost', 'hung', 'swallowed', 'crashed', 'leak', 'sound'] as const;

/** One of them. */
export type VerdictName = (typeof verdictNames)[number];

/** All that is known of a case when it is over. */
export interface Evidence {
  readonly finished: FinishedCase;
  /** Of the reads in the case. */
  readonly violations: readonly Violation[];
  readonly after: Aftermath;
  readonly baseline: Baseline;
}

/** The verdict of one judge. `detail` is a sentence; `mark` the part of it that finds of one kind share. */
export interface Verdict {
  readonly name: VerdictName;
  readonly detail: string;
  readonly mark: string;
}

/** Judges a case by one measure: null if there is nothing to say against it. */
export type Judge = (evidence: Evidence) => Omit<Verdict, 'name'> | null;

/** From the worst verdict on. */
const judges: readonly (readonly [VerdictName, Judge])[] = [
  ['wrong data', wrongData],
  ['corrupt', brokenImage],
  ['lost', lostData],
  ['hung', neverEnds],
  ['swallowed', swallowedError],
  ['crashed', endsBadly],
  ['leak', lostSpace],
];

/** The worst that can be said of a case. */
export function verdictOn(evidence: Evidence): Verdict {
  for (const [name, judge] of judges) {
    const verdict = judge(evidence);
    if (verdict !== null) return { name, ...verdict };
  }
  return { name: 'sound', detail: '', mark: '' };
}
