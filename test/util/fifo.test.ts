/** The queue: its order, whatever is added and taken in between. */
import { expect, it } from 'vitest';
import { Fifo } from '../../src/util/fifo.ts';

it('gives elements in the order in which they came', () => {
  const fifo = new Fifo<number>();
  const expected: number[] = [];
  let next = 0;
  // More come than go, and then all go.
  for (let round = 0; round < 400; round++) {
    for (let n = round % 7; n > 0; n--) {
      expected.push(next);
      fifo.push(next++);
    }
    for (let n = round % 5; n > 0; n--) expect(fifo.shift()).toBe(expected.shift());
    expect(fifo.length).toBe(expected.length);
  }
  expect(fifo.takeAll()).toEqual(expected);
  expect([fifo.length, fifo.shift()]).toEqual([0, undefined]);
});
