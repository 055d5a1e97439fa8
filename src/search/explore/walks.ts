/** Random orders, for scenarios with more orders than can be tried. */
import { Chance } from '../chance.ts';
import type { Chooser } from './explorer.ts';

/** Each choice is as likely as the others. */
export function uniformWalk(seed: number, prefix: readonly string[]): Chooser {
  const chance = new Chance(seed);
  let depth = 0;
  return {
    choose: (enabled) => prefix[depth++] ?? (enabled[chance.below(enabled.length)] as string),
  };
}

/**
 * Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized scheduler with
 * probabilistic guarantees of finding bugs", ASPLOS 2010): the request of the highest priority runs, and at a few steps
 * drawn beforehand the one that would run falls behind all others. `stepsExpected` is the length of a run, `changes`
 * the number of those steps: a fault that needs d orderings is found with d - 1 of them.
 */
export function priorityWalk(seed: number, prefix: readonly string[], stepsExpected: number, changes: number): Chooser {
  const chance = new Chance(seed);
  const priorities = new Map<string, number>();
  const changesAt = new Set<number>();
  for (let change = 0; change < changes; change++) changesAt.add(chance.below(Math.max(1, stepsExpected)));
  let lowest = 0;
  let depth = 0;
  const best = (enabled: readonly string[]): string =>
    enabled.reduce((one, two) => ((priorities.get(one) ?? 0) >= (priorities.get(two) ?? 0) ? one : two));
  return {
    choose(enabled) {
      for (const name of enabled) if (!priorities.has(name)) priorities.set(name, 1 + chance.next());
      const fixed = prefix[depth];
      if (changesAt.has(depth++)) priorities.set(best(enabled), --lowest);
      return fixed ?? best(enabled);
    },
  };
}
