/** The event loop: coroutines, queues, timers, their order. */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/block/loop/clock.ts';
import { CoroutineMutex, CoroutineQueue } from '../../../src/block/loop/coroutine-queue.ts';
import type { Pending } from '../../../src/util/steps.ts';
import { EventLoop, type Coroutine } from '../../../src/block/loop/loop.ts';
import { Errno } from '../../../src/util/errno.ts';

/** A clock that stands still until it is moved. */
class ManualClock implements Clock {
  now = 0;
  timers: { at: number; callback: () => void }[] = [];
  nowNs(): number {
    return this.now;
  }
  get recentNs(): number {
    return this.now;
  }
  hostNs(): number {
    return this.nowNs();
  }
  after(delayNs: number, callback: () => void): () => void {
    const timer = { at: this.now + delayNs, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }
  advance(ns: number): void {
    this.now += ns;
    const due = this.timers.filter((timer) => timer.at <= this.now).sort((a, b) => a.at - b.at);
    this.timers = this.timers.filter((timer) => timer.at > this.now);
    for (const timer of due) timer.callback();
  }
}

const waits = { kind: 'lock', name: 'test' } as const;

/** Begins a coroutine, and gives it back when it has parked or ended. */
async function begin(
  loop: EventLoop,
  operation: string,
  body: () => Promise<void>,
  onEnd: (error: unknown) => void = () => {},
): Promise<Coroutine> {
  let begun: Coroutine | null = null;
  await loop.begin(
    { operation },
    () => {
      begun = loop.current;
      return body();
    },
    onEnd,
  );
  if (begun === null) throw new Error('it did not run');
  return begun;
}

/** Starts a coroutine that notes its steps and parks between them. */
async function start(loop: EventLoop, log: string[], name: string, steps: number): Promise<Coroutine> {
  const coroutine = await begin(
    loop,
    name,
    async () => {
      for (let step = 1; step <= steps; step++) {
        log.push(`${name}${step}`);
        if (step < steps) await loop.park(waits);
      }
    },
    () => log.push(`${name} ends`),
  );

  return coroutine;
}

describe('EventLoop', () => {
  it('runs a coroutine at once up to its first wait, and on from there when it is entered', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    const a = await start(loop, log, 'a', 2);
    log.push('between');
    await loop.enter(a);
    expect(log).toEqual(['a1', 'between', 'a2', 'a ends']);
    expect(a.done).toBe(true);
    expect(loop.alive.size).toBe(0);
  });

  it('lets a coroutine that is woken run right after the one that woke it stops, before the caller goes on', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    const a = await start(loop, log, 'a', 2);
    await begin(
      loop,
      'waker',
      async () => {
        loop.wake(a);
        log.push('waker goes on');
      },
      () => {},
    );

    log.push('caller');
    expect(log).toEqual(['a1', 'waker goes on', 'a2', 'a ends', 'caller']);
  });

  it('runs a woken coroutine as a bottom half when nothing else runs', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    const a = await start(loop, log, 'a', 2);
    loop.wake(a);
    expect(log).toEqual(['a1']);
    expect(await loop.poll(false)).toBe(true);
    expect(log).toEqual(['a1', 'a2', 'a ends']);
  });

  it('lets those who put themselves off go on in their order, and bottom halves newest first', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    for (const [name, wait] of [
      ['first', () => loop.reschedule()],
      ['half', () => loop.bottomHalf()],
      ['second', () => loop.reschedule()],
      ['other half', () => loop.bottomHalf()],
    ] as const) {
      const body = async (): Promise<void> => {
        await wait();
        log.push(name);
      };
      await loop.begin({ operation: name }, body, () => {});
    }
    expect(log).toEqual([]);
    expect(await loop.poll(false)).toBe(true);
    expect(log).toEqual(['other half', 'half', 'first', 'second']);
    expect(loop.alive.size).toBe(0);
  });

  it('knows the running coroutine, also under a nested enter', async () => {
    const loop = new EventLoop();
    const seen: (number | undefined)[] = [];
    const outer = await begin(loop, 'outer', async () => {
      const inner = await begin(loop, 'inner', async () => void seen.push(loop.current?.id));
      seen.push(loop.current?.id);
      expect(seen[0]).toBe(inner.id);
    });
    expect(seen[1]).toBe(outer.id);
    expect(loop.current).toBeNull();
  });

  it('does not put host I/O off when nothing else exists, and does when something does', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    await loop.run('alone', async () => {
      log.push(loop.hostIo() === undefined ? 'no wait' : 'wait');
    });
    await start(loop, log, 'other', 2);
    await begin(
      loop,
      'second',
      async () => {
        await loop.hostIo();
        log.push('second done');
      },
      () => {},
    );

    log.push('entered');
    expect(await loop.poll()).toBe(true);
    expect(log).toEqual(['no wait', 'other1', 'entered', 'second done']);
  });

  it('turns bottom halves before host I/O, the newest of them first', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    await start(loop, log, 'x', 2);
    for (const name of ['io1', 'io2']) {
      await loop.begin(
        { operation: name },
        async () => {
          await loop.hostIo();
          log.push(name);
        },
        () => {},
      );
    }
    loop.schedule(() => void log.push('bh1'));
    loop.schedule(() => void log.push('bh2'));
    while (await loop.poll()) log.push('|');
    expect(log).toEqual(['x1', 'bh2', 'bh1', '|', 'io1', '|', 'io2', '|']);
  });

  it('delivers what ended before a command newest first, and then what was started since', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    await start(loop, log, 'x', 2);
    const submit = (name: string): Pending =>
      loop.begin(
        { operation: name },
        async () => {
          await loop.hostIo();
          log.push(name);
          await loop.hostIo();
          log.push(`${name} again`);
        },
        () => {},
      );
    await submit('old1');
    loop.endHostIo();
    await submit('old2');
    loop.endHostIo();
    await submit('new');
    while (await loop.poll()) continue;
    expect(log).toEqual(['x1', 'old2', 'old1', 'new', 'old2 again', 'old1 again', 'new again']);
  });

  it('reports a request that ends at once only after spawn has returned', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    await loop.spawn(
      { operation: 'quick' },
      async () => void log.push('runs'),
      () => log.push('reports'),
    );
    log.push('returned');
    await loop.poll();
    expect(log).toEqual(['runs', 'returned', 'reports']);
  });

  it('says that a coroutine is stuck when only a later command could wake it', async () => {
    const loop = new EventLoop();
    let coroutine: Coroutine | null = null;
    const ended = await loop.run('stuck', async () => {
      coroutine = loop.current;
      await loop.park(waits);
    });
    expect(ended).toBe(false);
    expect(loop.alive.size).toBe(1);
    await loop.enter(coroutine as unknown as Coroutine);
    expect(loop.alive.size).toBe(0);
  });

  it('sleeps by the injected clock and goes on in the order in which timers fire', async () => {
    const clock = new ManualClock();
    const loop = new EventLoop(clock);
    const log: string[] = [];
    for (const [name, delay] of [
      ['late', 200],
      ['early', 100],
    ] as const) {
      await loop.begin(
        { operation: name },
        async () => {
          await loop.sleep(delay);
          log.push(name);
        },
        () => {},
      );
    }
    const polled = loop.poll();
    clock.advance(300);
    await polled;
    while (await loop.poll(false)) continue;
    expect(log).toEqual(['early', 'late']);
    expect(loop.pending).toBe(false);
  });

  it('ends the wait for a timer on interrupt', async () => {
    const clock = new ManualClock();
    const loop = new EventLoop(clock);
    await loop.begin(
      { operation: 's' },
      () => loop.sleep(1e9),
      () => {},
    );
    const polled = loop.poll();
    await Promise.resolve();
    loop.interrupt();
    expect(await polled).toBe(false);
  });

  it('ends the sleep of a cancelled coroutine, and takes its timer back', async () => {
    const clock = new ManualClock();
    const loop = new EventLoop(clock);
    let hasEnded = false;
    const sleeper = await loop.spawn(
      { operation: 's' },
      () => loop.sleep(1e9),
      () => {
        hasEnded = true;
      },
    );
    loop.cancel(sleeper);
    expect(await loop.poll()).toBe(true);
    expect(hasEnded).toBe(true);
    clock.advance(1e9);
    expect(loop.pending).toBe(false);
  });

  it('fails a cancelled coroutine with ECANCELED where it looks', async () => {
    const loop = new EventLoop();
    let message = '';
    const coroutine = await begin(
      loop,
      'c',
      async () => {
        await loop.park(waits);
        loop.checkCancelled();
      },
      (error) => {
        message = String(error);
      },
    );

    loop.cancel(coroutine);
    await loop.enter(coroutine);
    expect(message).toContain('Operation canceled');
  });

  it('begins a request that need not wait without a promise, and reports it at once', () => {
    const loop = new EventLoop();
    const log: string[] = [];
    const pending = loop.begin(
      { operation: 'r', origin: 'client 1' },
      () => {
        log.push(`runs for ${loop.current?.origin}`);
        return undefined;
      },
      (error) => log.push(`ends with ${String(error)}`),
    );
    expect(pending).toBeUndefined();
    expect(log).toEqual(['runs for client 1', 'ends with undefined']);
    expect(loop.alive.size).toBe(0);
    expect(loop.current).toBeNull();
  });

  it('begins a request that waits, returns when it parks, and reports its error when it ends', async () => {
    const loop = new EventLoop();
    const log: string[] = [];
    let coroutine: Coroutine | null = null;
    await loop.begin(
      { operation: 'r' },
      async () => {
        coroutine = loop.current;
        log.push('parks');
        await loop.park(waits);
        throw new Error('planted');
      },
      (error) => log.push(String(error)),
    );
    expect(log).toEqual(['parks']);
    expect(loop.current).toBeNull();
    if (coroutine === null) throw new Error('it did not run');
    await loop.enter(coroutine);
    expect(log).toEqual(['parks', 'Error: planted']);
  });

  it('waits for what is outside, and goes on in the order in which that arrives', async () => {
    const loop = new EventLoop(new ManualClock());
    const log: string[] = [];
    const arrive: (() => void)[] = [];
    for (const name of ['a', 'b']) {
      await loop.spawn(
        { operation: name },
        () =>
          loop
            .parkOutside({ kind: 'network' }, (arrived) => {
              arrive.push(arrived);
              return () => log.push(`${name} taken back`);
            })
            .then(() => {
              log.push(name);
            }),
        () => {},
      );
    }
    expect(loop.pending).toBe(true);
    expect(await loop.poll(false)).toBe(false);
    setImmediate(() => {
      arrive[1]?.();
      arrive[0]?.();
    });
    while (loop.pending) await loop.poll();
    expect(log).toEqual(['b', 'a']);
  });

  it('takes the wait of a cancelled coroutine for the outside back', async () => {
    const loop = new EventLoop(new ManualClock());
    let isTakenBack = false;
    const begin = () => () => {
      isTakenBack = true;
    };
    const waiting = await loop.spawn(
      { operation: 'a' },
      () => loop.parkOutside({ kind: 'network' }, begin),
      () => {},
    );
    loop.cancel(waiting);
    while (loop.pending) await loop.poll();
    expect([isTakenBack, waiting.done]).toEqual([true, true]);
  });

  it('sleeps when nothing can happen by itself, until something is scheduled or somebody interrupts', async () => {
    const loop = new EventLoop();
    let turns = 0;
    const turning = (async () => {
      for (; turns < 3; turns += 1) await loop.turnOrSleep();
    })();
    await new Promise(setImmediate);
    expect(turns).toBe(0);
    let hasRun = false;
    loop.schedule(() => {
      hasRun = true;
    });
    await new Promise(setImmediate);
    expect({ turns, hasRun }).toEqual({ turns: 2, hasRun: true });
    loop.interrupt();
    await turning;
    expect(turns).toBe(3);
  });
});

describe('CoroutineMutex', () => {
  it('passes from hand to hand in order of arrival', async () => {
    const loop = new EventLoop();
    const mutex = new CoroutineMutex(loop, 'm');
    const log: string[] = [];
    const gate = new CoroutineQueue(loop);
    for (const name of ['a', 'b', 'c']) {
      await loop.begin(
        { operation: name },
        async () => {
          const wait = mutex.lock();
          if (wait !== undefined) await wait;
          log.push(`${name} has it`);
          if (name === 'a') await gate.wait(waits);
          mutex.unlock();
          log.push(`${name} gave it`);
        },
        () => {},
      );
    }
    expect(log).toEqual(['a has it']);
    await loop.begin(
      { operation: 'opener' },
      async () => gate.wakeAll(),
      () => {},
    );
    expect(log).toEqual(['a has it', 'a gave it', 'b has it', 'b gave it', 'c has it', 'c gave it']);
    expect(mutex.isLocked).toBe(false);
  });
});

describe('work without a bound', () => {
  /** Runs work of `steps` steps that take 30 ms each; `meanwhile` is called in Node's first turn. */
  async function work(steps: number, meanwhile: (loop: EventLoop) => void) {
    const clock = new ManualClock();
    const loop = new EventLoop(clock);
    const log: string[] = [];
    setImmediate(() => {
      log.push(loop.current === null ? 'Node' : 'Node, in the work');
      meanwhile(loop);
    });
    let caught: unknown;
    const ended = await loop.run('work', async () => {
      try {
        for (let step = 1; step <= steps; step++) {
          log.push(`${step}`);
          clock.advance(30e6);
          await loop.breathe();
        }
      } catch (error) {
        caught = error;
      }
    });
    expect(ended).toBe(true);
    return { log, caught };
  }

  it('gives Node a turn when it has had none for a while, and goes on', async () => {
    expect(await work(4, () => {})).toEqual({ log: ['1', '2', '3', 'Node', '4'], caught: undefined });
  });

  it('ends with ECANCELED when it is interrupted in that turn', async () => {
    const { log, caught } = await work(9, (loop) => loop.interrupt());
    expect(log).toEqual(['1', '2', '3', 'Node']);
    expect(caught).toMatchObject({ errno: Errno.ECANCELED });
  });

  it('lets nothing else of the loop run meanwhile', async () => {
    const log: string[] = [];
    const result = await work(4, (loop) => loop.schedule(() => void log.push('bottom half')));
    expect(result.log).toEqual(['1', '2', '3', 'Node', '4']);
    expect(log).toEqual([]);
  });
});
