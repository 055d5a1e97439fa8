/** A state after a loss of power as a recipe: what was lost, in words of JSON that name it again. */
import { invalidArgument } from '../../block/error.ts';
import type { Json } from '../strategy.ts';
import type { Epoch } from './epochs.ts';
import type { LossState } from './loss-states.ts';

/** The recipe of a state: its moment as an index into the log, and the changes lost, `3-5,9`. */
export function recipeOf({ epoch, torn, number }: LossState, lost: readonly number[]): Json {
  const recipe = { state: number, epoch, lost: rangesOf(lost) };
  return torn === null ? recipe : { ...recipe, torn: { change: torn.change, from: torn.from, to: torn.to } };
}

/** Reads a recipe. Throws EINVAL for one of another scenario. */
export function parseRecipe(recipe: Json, epochs: readonly Epoch[]): LossState {
  const { state, epoch, lost, torn = null } = recipe as { readonly [key: string]: Json };
  const pending = epochs[Number(epoch)]?.pending;
  if (typeof epoch !== 'number' || typeof state !== 'number' || typeof lost !== 'string' || pending === undefined) {
    throw invalidArgument('the case is not one of this scenario');
  }
  const gone = new Set(parseRanges(lost, pending.at(-1) ?? 0));
  const cut = torn as unknown as LossState['torn'];
  const kept = pending.filter((change) => !gone.has(change) && change !== cut?.change);
  return { number: state, epoch, kept, torn: cut };
}

function rangesOf(numbers: readonly number[]): string {
  const ranges: string[] = [];
  for (let index = 0; index < numbers.length; ) {
    const first = numbers[index] as number;
    let last = first;
    for (index += 1; numbers[index] === last + 1; index++) last += 1;
    ranges.push(first === last ? `${first}` : `${first}-${last}`);
  }
  return ranges.join(',');
}

function parseRanges(text: string, max: number): number[] {
  const numbers: number[] = [];
  for (const range of text === '' ? [] : text.split(',')) {
    const [, first, last = first] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range) ?? [];
    if (first === undefined || Number(last) > max) throw invalidArgument('the case is not one of this scenario');
    for (let number = Number(first); number <= Number(last); number++) numbers.push(number);
  }
  return numbers;
}
