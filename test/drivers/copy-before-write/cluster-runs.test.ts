/** Runs of clusters, held against a plain set of numbers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterRuns } from '../../../src/drivers/copy-before-write/cluster-runs.ts';

const SIZE = 24;

const run = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
const step = fc.record({ isAdded: fc.boolean(), run });

function numbers(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index);
}

describe('a set of clusters', () => {
  it('has what was put in and not taken out since, in whatever order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), run, (steps, [start, end]) => {
        const set = new ClusterRuns();
        const model = new Set<number>();
        for (const { isAdded, run: changed } of steps) {
          if (isAdded) set.add(...changed);
          else set.delete(...changed);
          for (const one of numbers(...changed)) {
            if (isAdded) model.add(one);
            else model.delete(one);
          }
        }
        const first = numbers(start, end).find((one) => model.has(one));
        const behind = first === undefined ? undefined : numbers(first, end).find((one) => !model.has(one));
        for (const one of [set, set.clone()]) {
          expect(one.firstWithin(start, end)).toEqual(
            first === undefined ? null : { start: first, end: behind ?? end },
          );
          expect(one.hasAll(start, end)).toBe(numbers(start, end).every((number) => model.has(number)));
        }
      }),
      { numRuns: 500 },
    );
  });
});
