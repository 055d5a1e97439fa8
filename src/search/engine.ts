/** The engine of a search: gives units to workers, puts their cases in order, and tells the reporters. */
import type { Outcome } from './strategy.ts';
import { parseResult, resultLine, resultsOf, type Header, type Result, type ResultSet } from './results.ts';
import { isInShard, type Shard } from './shard.ts';
import type { VerdictName } from './verdict.ts';

/** Runs units, one at a time for each of its places. */
export interface Workers {
  /** How many units may be asked for at the same time. */
  readonly places: number;
  run(unit: number): Promise<readonly Outcome[]>;
  /** Ends the units under way as soon as they can. */
  stop(): void;
}

/** A find: cases that show one thing. */
export interface Find {
  readonly signature: string;
  readonly verdict: VerdictName;
  /** The first case that shows it. */
  readonly first: Result;
  count: number;
}

/** How a search stands, or how it has ended. */
export interface Progress {
  readonly unitsDone: number;
  readonly unitCount: number;
  readonly cases: number;
  readonly finds: readonly Find[];
}

/** Where results go. All methods are called in the order of the cases. */
export interface Reporter {
  begin?(header: Header): void;
  result?(result: Result, line: string, isFind: boolean): void;
  /** `isWhole`: all units of the shard are done. */
  end?(progress: Progress, isWhole: boolean): void;
}

/** The settings of a search. */
export interface SearchSettings {
  readonly header: Header;
  readonly workers: Workers;
  readonly shard: Shard;
  /** The search ends when it has so many cases. */
  readonly casesMax: number;
  /** Results of an earlier search, which need not be found again. */
  readonly earlier: ResultSet;
  /** A leak is a find. */
  readonly leaksCount: boolean;
  readonly reporters: readonly Reporter[];
}

/** A search under way. */
export class Search {
  readonly #settings: SearchSettings;
  readonly #units: readonly number[];
  /** Results that wait for those before them. */
  readonly #waiting = new Map<number, readonly Result[]>();
  readonly #finds = new Map<string, Find>();
  #next = 0;
  #reported = 0;
  #cases = 0;
  #isStopped = false;

  constructor(settings: SearchSettings) {
    this.#settings = settings;
    const { header, shard } = settings;
    const units: number[] = [];
    for (let unit = 0; unit < header.units; unit++) if (isInShard(unit, shard)) units.push(unit);
    this.#units = units;
  }

  get progress(): Progress {
    return {
      unitsDone: this.#reported,
      unitCount: this.#units.length,
      cases: this.#cases,
      finds: [...this.#finds.values()],
    };
  }

  /** Ends the search with what it has. */
  stop(): void {
    this.#isStopped = true;
    this.#settings.workers.stop();
  }

  /** Searches to the end, or until it is stopped. Whether it came to the end. */
  async run(): Promise<boolean> {
    const { header, workers, reporters } = this.#settings;
    for (const reporter of reporters) reporter.begin?.(header);
    await Promise.all(Array.from({ length: workers.places }, () => this.#work()));
    const isWhole = this.#reported === this.#units.length;
    for (const reporter of reporters) reporter.end?.(this.progress, isWhole);
    return isWhole;
  }

  /** Does one unit after the other. */
  async #work(): Promise<void> {
    const { workers, earlier } = this.#settings;
    while (!this.#isStopped && this.#cases < this.#settings.casesMax) {
      const unit = this.#units[this.#next];
      if (unit === undefined) return;
      this.#next += 1;
      const known = earlier.linesOf(unit);
      const results = known === undefined ? resultsOf(unit, await workers.run(unit)) : known.map(parseResult);
      // A unit that was stopped on its way has not all of its cases.
      if (this.#isStopped && known === undefined) return;
      this.#waiting.set(unit, results);
      this.#report();
    }
  }

  #report(): void {
    for (;;) {
      const unit = this.#units[this.#reported];
      const results = unit === undefined ? undefined : this.#waiting.get(unit);
      if (unit === undefined || results === undefined) return;
      this.#waiting.delete(unit);
      this.#reported += 1;
      for (const result of results) {
        if (this.#cases === this.#settings.casesMax) return this.stop();
        this.#reportOne(result);
      }
    }
  }

  #reportOne(result: Result): void {
    const { leaksCount, reporters } = this.#settings;
    this.#cases += 1;
    const isFind = result.verdict !== 'sound' && (result.verdict !== 'leak' || leaksCount);
    if (isFind) {
      const find = this.#finds.get(result.signature);
      if (find === undefined) {
        const { signature, verdict } = result;
        this.#finds.set(signature, { signature, verdict, first: result, count: 1 });
      } else {
        find.count += 1;
      }
    }
    const line = resultLine(result);
    for (const reporter of reporters) reporter.result?.(result, line, isFind);
  }
}
