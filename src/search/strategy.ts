/**
 * Strategies: which cases a search tries. One is one file, and a line in the table of the program.
 *
 * A strategy numbers units of work from 0, the same ones on every machine for the same scenario, options and seed. A
 * unit is run by itself, wherever and as often as it may be, and gives the same cases each time: that is what shards,
 * jobs and a search that is taken up again stand on.
 */
import { invalidArgument } from '../block/error.ts';
import type { Baseline } from './aftermath.ts';
import type { CaseViewer } from './case.ts';
import type { Judged } from './judge.ts';
import type { VerdictName } from './verdict.ts';
import type { World } from './world.ts';
import type { Disks } from '../sandbox/disks/disks.ts';

/** A value that JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A judged case as it is reported. */
export interface Outcome {
  /** All that makes the case beside the scenario: with it the strategy runs the case again. */
  readonly recipe: Json;
  /** The case in a line: "EIO, once, at l2_load 3 (line 2: write 0 64k)". */
  readonly title: string;
  readonly verdict: VerdictName;
  /** A sentence about the verdict; empty for a sound case. */
  readonly detail: string;
  /** Finds with the same signature are one find; empty for a sound case. */
  readonly signature: string;
  /** The first hazard that the detector told of in the case; empty if there was none. */
  readonly hazard: string;
}

/** An option of a search: its flags as help shows them, with `<VALUE>` if it takes one, and its meaning. */
export type OptionLine = readonly [flags: string, description: string];

/** The words of the command line that say which cases there are. */
export interface SearchOptions {
  readonly seed: number;
  /** So many cases are wanted at most: a unit that has more may end behind the first of those above. */
  readonly casesMax: number;
  /** The strategy's own options, by name without the dashes; a flag has an empty value. */
  readonly own: ReadonlyMap<string, string>;
}

/** A whole number of an option, or its default. Throws EINVAL for anything else, and outside of `least` to `most`. */
export function numberOption(
  words: ReadonlyMap<string, string>,
  name: string,
  fallback: number,
  { least = 0, most = Number.MAX_SAFE_INTEGER } = {},
): number {
  const text = words.get(name);
  if (text === undefined) return fallback;
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
  throw invalidArgument(`--${name} takes a whole number ${range}, not '${text}'`);
}

/** The work of a search, numbered. */
export interface Units {
  readonly count: number;
  /**
   * The cases of a unit, in their order. `isStopped` turns true when the search is to end; what there is is given then.
   */
  run(unit: number, isStopped: () => boolean): Promise<readonly Outcome[]>;
  /** Runs one case again, before the eyes of `viewer`. */
  again(recipe: Json, viewer?: CaseViewer): Promise<Rerun>;
  /**
   * Recipes that may show over this scenario what `recipe` showed over one with other lines, the likeliest first: for
   * shrinking a find. Each is tried in turn.
   */
  similar(recipe: Json): readonly Json[];
  /** A case as files for a program in a pipe; null if it cannot be said in its words. */
  script(recipe: Json): Promise<FindScript | null>;
}

/** A case that was run again. */
export interface Rerun {
  readonly outcome: Outcome;
  readonly judged: Judged;
}

/** A case as a command file and a file of rules for blkdebug. */
export interface FindScript {
  readonly lines: readonly string[];
  /** A blkdebug.conf; empty without rules. It goes with the first node that has rules. */
  readonly rules: string;
  /** The files as the case finds them, where those are not the user's. To be released with the script. */
  readonly files?: Disks;
}

/** One search. */
export interface Strategy {
  /** The subcommand. */
  readonly name: string;
  /** A line about it. */
  readonly description: string;
  /** Its options beside those that all searches have. */
  readonly options: readonly OptionLine[];
  /** Options with which there is no script, by name without the dashes. */
  readonly standsForScript?: readonly string[];
  /** Options that name a file to be written when the search is made ready; not for a find that is made small. */
  readonly writtenOnce?: readonly string[];
  /** Finds out what there is to do. Throws BlockError if the scenario cannot be searched. */
  prepare(world: World, baseline: Baseline, options: SearchOptions): Promise<Units>;
}
