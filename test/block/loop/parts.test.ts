/** Parts of one request that run at the same time: how the views show them, and how they end. */
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/block/error.ts';
import { requestsInFlight } from '../../../src/block/loop/in-flight.ts';
import { type Coroutine, EventLoop } from '../../../src/block/loop/loop.ts';
import { sideBySide } from '../../../src/block/loop/side-by-side.ts';
import { TaskPool } from '../../../src/block/loop/task-pool.ts';
import { Errno } from '../../../src/util/errno.ts';
import { type Pending, run, type Steps } from '../../../src/util/steps.ts';

const label = { operation: 'write', offset: 4096, bytes: 1024, origin: 'client 1' };

type Parts = readonly (() => Pending)[];

function* inPool(loop: EventLoop, parts: Parts): Steps<void> {
  const pool = new TaskPool(loop);
  for (const part of parts) yield* pool.start(part);
  yield* pool.drain();
  pool.check();
}

function* allTogether(loop: EventLoop, parts: Parts): Steps<void> {
  yield* sideBySide(loop, parts);
}

const ways = [
  ['side by side', allTogether],
  ['in a pool', inPool],
] as const;

describe.each(ways)('parts of a request, %s', (_name, start) => {
  it('are shown with its range and client, as parts of it, while it waits for them', async () => {
    const loop = new EventLoop();
    const parked: Coroutine[] = [];
    const part = (): Pending => {
      if (loop.current !== null) parked.push(loop.current);
      return loop.park({ kind: 'flush' });
    };
    let hasEnded = false;
    const whole = await loop.spawn(
      label,
      () => run(start(loop, [part, part])),
      () => {
        hasEnded = true;
      },
    );
    const common = { operation: 'write', guestOffset: 4096, bytes: 1024, client: 'client 1' };
    expect(requestsInFlight(loop)).toMatchObject([
      { ...common, request: whole.id, waitsFor: 'its parts' },
      { ...common, parent: whole.id },
      { ...common, parent: whole.id },
    ]);
    expect(requestsInFlight(loop)[0]).not.toHaveProperty('parent');
    for (const coroutine of parked) await loop.enter(coroutine);
    while (await loop.poll()) continue;
    expect(hasEnded).toBe(true);
    expect(loop.alive.size).toBe(0);
  });
});

describe('sideBySide', () => {
  it('gives the errno of each part, in their order', async () => {
    const loop = new EventLoop();
    const failing = (): Pending => {
      throw new BlockError(Errno.EIO);
    };
    let errnos: readonly number[] = [];
    await loop.run('test', async () => {
      errnos = await run(sideBySide(loop, [() => undefined, failing]));
    });
    expect(errnos).toEqual([0, Errno.EIO]);
  });
});
