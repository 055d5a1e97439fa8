/** Finds as rules of QEMU's blkdebug, and how they are made small. */
import { describe, expect, it } from 'vitest';
import { rulesFor } from '../../src/search/finds/rules-for.ts';
import { type SearchOver, Shrinker } from '../../src/search/finds/shrinker.ts';
import type { Injection, Point } from '../../src/search/injector.ts';
import type { Json, Units } from '../../src/search/strategy.ts';

const event = (name: string, nth: number): Point => ({ kind: 'event', event: name, node: 0, nth });
const write = (nth: number): Point => ({ kind: 'request', request: 'write', disk: 0, nth });
const failing = (point: Point, once = true): Injection => ({ point, errno: 'EIO', once });

describe('rules', () => {
  const passed = [event('a', 1), event('b', 1), write(1), event('a', 2), write(2), write(3), event('b', 2)];
  const summary = (text: string | null): string[] | undefined =>
    text?.split('\n\n').map((section) =>
      section
        .trim()
        .replaceAll(/ = "([^"]*)"/g, '=$1')
        .replaceAll('\n', ' '),
    );

  it('count events by a chain of states', () => {
    expect(summary(rulesFor([failing(event('a', 1))], passed))).toEqual([
      '[inject-error] event=a state=1 errno=5 once=on',
    ]);
    expect(summary(rulesFor([failing(event('b', 2), false)], passed))).toEqual([
      '[set-state] event=b state=1 new_state=2',
      '[inject-error] event=b state=2 errno=5 once=off',
    ]);
  });

  it('say a request by the event before it and its kind, if that is the only one', () => {
    expect(summary(rulesFor([failing(write(2))], passed))).toEqual([
      '[set-state] event=a state=1 new_state=2',
      '[inject-error] event=a state=2 iotype=write errno=5 once=on',
    ]);
    expect(rulesFor([failing(write(3))], passed)).toBeNull();
    expect(rulesFor([failing({ kind: 'request', request: 'write', disk: 1, nth: 1 })], passed)).toBeNull();
    expect(rulesFor([failing({ ...event('a', 1), node: 1 } as Point)], passed)).toBeNull();
  });

  it('follow one error by another', () => {
    expect(summary(rulesFor([failing(event('a', 1)), failing(event('a', 2))], passed))).toEqual([
      '[inject-error] event=a state=1 errno=5 once=on',
      '[set-state] event=a state=1 new_state=2',
      '[inject-error] event=a state=2 errno=5 once=on',
      '[set-state] event=a state=2 new_state=3',
    ]);
  });
});

describe('a find', () => {
  /** Shows its signature while "write" with at least 4k is there, and "flush" behind it. */
  const over: SearchOver = async (lines) => {
    const text = lines.join(';');
    const shows = /write -P 1 \d+\w? (4k|64k).*;flush/.test(text);
    const outcome = {
      recipe: lines.length,
      title: text,
      verdict: 'lost',
      detail: '',
      signature: shows ? 'it' : '',
    } as const;
    const units = { similar: (recipe: Json) => [recipe], again: async () => ({ outcome }) };
    return { units: units as unknown as Units, close: () => {} };
  };

  it('is made as small as it still shows', async () => {
    const lines = ['length', 'read 0 512', 'write -P 1 128k 64k', 'read 0 4k', 'write -P 2 0 4k', 'flush', 'length'];
    const shrunk = await new Shrinker(over, { lines, recipe: 0 }, 'it', 1000).run();
    expect(shrunk).toEqual({ lines: ['write -P 1 0 4k', 'flush'], recipe: 2 });
  });

  it('is left as it is where there is no time', async () => {
    const find = { lines: ['length', 'write -P 1 128k 64k', 'flush'], recipe: 0 };
    expect(await new Shrinker(over, find, 'it', 0).run()).toEqual(find);
    expect((await new Shrinker(over, find, 'it', 3).run()).lines.length).toBeLessThanOrEqual(3);
  });
});
