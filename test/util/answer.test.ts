/** Answers: a value, or a promise of it. */
import { describe, expect, it, vi } from 'vitest';
import { andThen, type Answer, caught, lastly } from '../../src/util/answer.ts';

const failure = new Error('no');
const fail = (): never => {
  throw failure;
};

describe('andThen', () => {
  it('goes on at once with what is there', () => {
    expect(andThen(2, (value) => value + 1)).toBe(3);
  });

  it('goes on later with what comes later', async () => {
    const answer: Answer<number> = andThen<number, number>(Promise.resolve(2), (value) => value + 1);
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toBe(3);
  });

  it('does not go on behind a failure', async () => {
    const next = vi.fn();
    await expect(andThen(Promise.reject(failure), next)).rejects.toBe(failure);
    expect(next).not.toHaveBeenCalled();
  });

  it('throws what the next step throws, or rejects with it', async () => {
    expect(() => andThen(1, fail)).toThrow(failure);
    await expect(andThen(Promise.resolve(1), fail)).rejects.toBe(failure);
  });
});

describe('lastly', () => {
  it('ends a step that is done before it returns', () => {
    const end = vi.fn();
    expect(lastly(() => 7, end)).toBe(7);
    expect(end).toHaveBeenCalledTimes(1);
  });

  it('ends a step that waits when it is done, not before', async () => {
    const end = vi.fn();
    const answer = lastly(async () => 7, end);
    expect(end).not.toHaveBeenCalled();
    expect(await answer).toBe(7);
    expect(end).toHaveBeenCalledTimes(1);
  });

  it('ends a step that fails, once', async () => {
    const end = vi.fn();
    expect(() => lastly(fail, end)).toThrow(failure);
    expect(end).toHaveBeenCalledTimes(1);
    await expect(lastly(() => Promise.reject(failure), end)).rejects.toBe(failure);
    expect(end).toHaveBeenCalledTimes(2);
  });
});

describe('caught', () => {
  it('makes a rejection of what is thrown, and leaves all else alone', async () => {
    await expect(caught(fail)).rejects.toBe(failure);
    expect(caught(() => 5)).toBe(5);
    expect(caught(() => undefined)).toBeUndefined();
  });
});
