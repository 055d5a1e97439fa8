/** Shrinks a find: fewer commands, smaller sizes, as long as a case of what is left shows the same. */
import { parseSize } from '../../util/size.ts';
import type { Json, Units } from '../strategy.ts';

/** A find, as the lines that make it and the case over them that shows it. */
export interface ShrunkFind {
  readonly lines: readonly string[];
  readonly recipe: Json;
}

/** Makes the search over other lines ready; null if it cannot be. `close` gives back what it holds. */
export type SearchOver = (lines: readonly string[]) => Promise<{ readonly units: Units; close(): void } | null>;

/** Sizes that are tried in place of larger ones. */
const SIZES = ['512', '4k', '64k'];

/** One attempt to shrink a find. Ends when `casesMax` cases have been run. */
export class Shrinker {
  readonly #searchOver: SearchOver;
  readonly #signature: string;
  #casesLeft: number;
  #best: ShrunkFind;

  constructor(searchOver: SearchOver, find: ShrunkFind, signature: string, casesMax: number) {
    this.#searchOver = searchOver;
    this.#best = find;
    this.#signature = signature;
    this.#casesLeft = casesMax;
  }

  async run(): Promise<ShrunkFind> {
    let hasShrunk = true;
    while (hasShrunk && this.#casesLeft > 0) {
      const removed = await this.#removeLines();
      const reduced = await this.#reduceSizes();
      hasShrunk = removed || reduced;
    }
    return this.#best;
  }

  /** In pieces that get smaller, from the end on: what comes last is needed least. */
  async #removeLines(): Promise<boolean> {
    let hasShrunk = false;
    for (
      let count = Math.ceil(this.#best.lines.length / 2);
      count >= 1;
      count = count === 1 ? 0 : Math.ceil(count / 2)
    ) {
      for (let at = this.#best.lines.length - count; at >= 0; at -= 1) {
        const { lines } = this.#best;
        if (at + count > lines.length || lines.length === 1) continue;
        if (await this.#accepts([...lines.slice(0, at), ...lines.slice(at + count)])) hasShrunk = true;
      }
    }
    return hasShrunk;
  }

  async #reduceSizes(): Promise<boolean> {
    let hasShrunk = false;
    for (let index = 0; index < this.#best.lines.length; index++) {
      for (const smaller of smallerLines(this.#best.lines[index] ?? '')) {
        const lines = this.#best.lines.with(index, smaller);
        if (!(await this.#accepts(lines))) continue;
        hasShrunk = true;
        break;
      }
    }
    return hasShrunk;
  }

  /** Whether these lines still show the find; they are the best then. */
  async #accepts(lines: readonly string[]): Promise<boolean> {
    if (this.#casesLeft <= 0) return false;
    const search = await this.#searchOver(lines);
    if (search === null) return false;
    try {
      for (const recipe of search.units.similar(this.#best.recipe)) {
        if (this.#casesLeft <= 0) return false;
        this.#casesLeft -= 1;
        const { outcome } = await search.units.again(recipe);
        if (outcome.signature !== this.#signature) continue;
        this.#best = { lines, recipe: outcome.recipe };
        return true;
      }
      return false;
    } finally {
      search.close();
    }
  }
}

/** The line with one of its sizes made smaller, the smallest first; lengths, which come last, before offsets. */
function smallerLines(line: string): string[] {
  const words = line.split(' ');
  const found: string[] = [];
  for (let index = words.length - 1; index > 0; index -= 1) {
    const size = parseSize(words[index] ?? '');
    const isOption = words[index - 1]?.startsWith('-') === true;
    if (typeof size === 'string' || isOption) continue;
    const isOffset = index < words.length - 1;
    const choices = isOffset ? ['0', ...SIZES] : SIZES;
    for (const choice of choices) {
      const smaller = parseSize(choice);
      if (typeof smaller !== 'string' && smaller < size) found.push(words.with(index, choice).join(' '));
    }
  }
  return found;
}
