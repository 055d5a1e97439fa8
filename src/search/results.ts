/**
 * Results as lines of JSON: a header that says what was searched, then a line for each case, in the order of their
 * numbers. The lines of a search are the same bytes wherever and in how many parts it ran; times are not among them.
 */
import { invalidArgument } from '../block/error.ts';
import type { Json, Outcome } from './strategy.ts';
import { type VerdictName, verdictNames } from './verdict.ts';

/** The first line of results. */
export interface Header {
  readonly search: string;
  /** Of the form of these lines. */
  readonly version: 1;
  readonly image: string;
  readonly script: string;
  /** Words of the command line that say which cases there are and what they do. */
  readonly options: readonly string[];
  readonly seed: number;
  readonly units: number;
}

/** A case of results. */
export interface Result extends Outcome {
  readonly unit: number;
  /** Its place among the cases of its unit, from 0, and how many those are. */
  readonly part: number;
  readonly parts: number;
}

const NUMBER = /^(\d{1,15})(?:\.(\d{1,9}))?$/;

/** The number of a case as it is shown: "12", or "12.3" for the fourth case of a unit of several. */
export function caseNumber({ unit, part, parts }: Pick<Result, 'unit' | 'part' | 'parts'>): string {
  return parts === 1 ? String(unit) : `${unit}.${part}`;
}

/** The results of a unit. */
export function resultsOf(unit: number, outcomes: readonly Outcome[]): Result[] {
  return outcomes.map((outcome, part) => ({ ...outcome, unit, part, parts: outcomes.length }));
}

/** A header as a line, without the newline. */
export function headerLine({ search, version, image, script, options, seed, units }: Header): string {
  return JSON.stringify({ search, version, image, script, options, seed, units });
}

/** A result as a line, without the newline. */
export function resultLine(result: Result): string {
  const { parts, verdict, title, detail, signature, recipe, hazard } = result;
  const details = verdict === 'sound' ? {} : { detail, signature };
  return JSON.stringify({
    case: caseNumber(result),
    of: parts,
    verdict,
    title,
    ...details,
    ...(hazard === '' ? {} : { hazard }),
    recipe,
  });
}

/** Reads a header. Throws EINVAL for what is none. */
function parseHeader(line: string): Header {
  const header = parseObject(line) as Partial<Record<keyof Header, unknown>>;
  const { search, version, image, script, options, seed, units } = header;
  if (
    typeof search !== 'string' ||
    version !== 1 ||
    typeof image !== 'string' ||
    typeof script !== 'string' ||
    !Array.isArray(options) ||
    !options.every((option) => typeof option === 'string') ||
    typeof seed !== 'number' ||
    typeof units !== 'number'
  ) {
    throw invalidArgument('these are no results of a search');
  }
  return { search, version, image, script, options, seed, units };
}

/** Reads a result. Throws EINVAL for what is none. */
export function parseResult(line: string): Result {
  const fields = parseObject(line);
  const { verdict, title, detail = '', signature = '', hazard = '', recipe, of: parts } = fields;
  const [, unit, part = '0'] = NUMBER.exec(typeof fields.case === 'string' ? fields.case : '') ?? [];
  const name = verdictNames.find((known) => known === verdict);
  if (
    unit === undefined ||
    name === undefined ||
    typeof title !== 'string' ||
    typeof detail !== 'string' ||
    typeof signature !== 'string' ||
    typeof hazard !== 'string' ||
    typeof parts !== 'number' ||
    !Number.isSafeInteger(parts) ||
    recipe === undefined ||
    Number(part) >= parts
  ) {
    throw invalidArgument('a line is no result of a case');
  }
  return {
    unit: Number(unit),
    part: Number(part),
    parts,
    verdict: name satisfies VerdictName,
    title,
    detail,
    signature,
    hazard,
    recipe: recipe as Json,
  };
}

function parseObject(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw invalidArgument('a line is no JSON object');
}

/** The cases of one or more files of results: whole units alone, each once. */
export class ResultSet {
  #header: Header | null = null;
  #headerLine = '';
  readonly #units = new Map<number, string[]>();

  get header(): Header | null {
    return this.#header;
  }

  /** How many units are there. */
  get size(): number {
    return this.#units.size;
  }

  /** The lines of a unit; undefined if it is not there as a whole. */
  linesOf(unit: number): readonly string[] | undefined {
    return this.#units.get(unit);
  }

  /** The units that are there, in their order. */
  get units(): number[] {
    return [...this.#units.keys()].sort((one, other) => one - other);
  }

  /**
   * Takes the text of a file. A last line without its end, or a unit without its last cases, comes from a search that
   * was killed and is left out. Throws EINVAL for other lines that are no results, and for results of another search.
   */
  add(text: string): void {
    const lines = text.split('\n');
    lines.pop();
    const [first, ...rest] = lines;
    if (first === undefined) return;
    const header = parseHeader(first);
    if (this.#header !== null && first !== this.#headerLine)
      throw invalidArgument('these results are of another search');
    this.#header = header;
    this.#headerLine = first;
    const partial = new Map<number, string[]>();
    for (const line of rest) {
      const { unit, part, parts } = parseResult(line);
      const known = partial.get(unit) ?? [];
      known[part] = line;
      partial.set(unit, known);
      if (Object.keys(known).length === parts) this.#units.set(unit, known);
    }
  }
}
