/** Steps that wait: the order in which they go on, their failures, and what a `Wait` is to the rest of Node. */
import { describe, expect, it } from 'vitest';
import { type Answer, isPromise, run, type Steps } from '../../src/util/steps.ts';
import { Wait } from '../../src/util/wait.ts';

describe('run', () => {
  it('gives the value at once if nothing has to be waited for', () => {
    function* steps(): Steps<number> {
      return (yield 1) + (yield 2);
    }
    expect(run(steps())).toBe(3);
  });

  it('goes on through all borders in the call that ends the wait', () => {
    const wait = new Wait<number>();
    const log: string[] = [];
    function* inner(): Steps<number> {
      const value: number = yield wait;
      log.push(`inner ${value}`);
      return value + 1;
    }
    function* outer(): Steps<void> {
      const value: number = yield run(inner());
      log.push(`outer ${value}`);
    }
    const answer = run(outer());
    expect(isPromise(answer)).toBe(true);
    wait.settle(1);
    expect(log).toEqual(['inner 1', 'outer 2']);
  });

  it('throws the failure of a wait into the steps, which may catch it', () => {
    const wait = new Wait<void>();
    let cleanedUp = false;
    function* inner(): Steps<void> {
      try {
        yield wait;
      } finally {
        cleanedUp = true;
      }
    }
    function* outer(): Steps<string> {
      try {
        yield run(inner());
        return 'no failure';
      } catch (error) {
        return String(error);
      }
    }
    let result: Answer<string> = '';
    const answer = run(outer()) as Wait<string>;
    answer.whenOver({ continueWith: (value) => (result = value), failWith: () => {} });
    wait.fail('lost');
    expect([cleanedUp, result]).toEqual([true, 'lost']);
  });

  it('waits for promises of Node, and for the answer that the steps return', async () => {
    function* inner(): Steps<number> {
      yield Promise.resolve();
      return 7;
    }
    function* outer(): Steps<number> {
      yield Promise.resolve();
      return run(inner()) as number;
    }
    expect(await run(outer())).toBe(7);
    function* failing(): Steps<void> {
      yield Promise.reject(new Error('refused'));
    }
    await expect(run(failing())).rejects.toThrow('refused');
  });
});

describe('a wait', () => {
  it('continues those that wait in the order in which they came, and at once after its end', () => {
    const wait = new Wait<string>();
    const log: string[] = [];
    const note = (name: string) => ({ continueWith: (value: string) => log.push(name + value), failWith: () => {} });
    wait.whenOver(note('a'));
    wait.whenOver(note('b'));
    wait.whenOver(note('c'));
    wait.settle('!');
    wait.whenOver(note('d'));
    expect(log).toEqual(['a!', 'b!', 'c!', 'd!']);
  });

  it('can be awaited, before its end and after', async () => {
    const wait = new Wait<number>();
    const before = wait.then((value) => value + 1);
    wait.settle(1);
    expect([await before, await wait, await wait.finally()]).toEqual([2, 1, 1]);
    const failed = new Wait<number>();
    const caught = failed.catch((error: unknown) => String(error));
    failed.fail('lost');
    expect(await caught).toBe('lost');
    await expect(failed).rejects.toBe('lost');
  });

  it('ends the program if it fails and nothing waits for it', async () => {
    const unseen: unknown[] = [];
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => unseen.push(reason));
    try {
      new Wait<void>().fail('unseen');
      const seen = new Wait<void>();
      seen.fail('seen late');
      seen.whenOver({ continueWith: () => {}, failWith: () => {} });
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
    expect(unseen).toEqual(['unseen']);
  });
});
