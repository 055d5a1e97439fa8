/** Workers of a search: this thread, or threads of their own that are told which unit to run. */
import type { MessagePort, Worker } from 'node:worker_threads';
import { hostTurn } from '../block/loop/clock.ts';
import type { Workers } from './engine.ts';
import type { Outcome, Units } from './strategy.ts';

/** Cases between two turns of Node, in which signals are seen. */
const CASES_A_TURN = 8;
/** Units that a thread has been told of at one time, so that it never waits for the next. */
const UNITS_A_THREAD = 2;

/** Runs units in this thread. */
export function localWorkers(units: Units): Workers {
  let isStopped = false;
  let count = 0;
  return {
    places: 1,
    async run(unit) {
      const outcomes = await units.run(unit, () => isStopped);
      count += outcomes.length;
      if (count >= CASES_A_TURN) {
        count = 0;
        await hostTurn();
      }
      return outcomes;
    },
    stop() {
      isStopped = true;
    },
  };
}

/** A message to a thread: the unit to run, or null to stop. */
type Order = number | null;

/** A message of a thread: the cases of a unit, or the reason why there are none. */
interface Answer {
  readonly unit: number;
  readonly outcomes: readonly Outcome[];
  readonly failure: string | null;
}

/** A unit that a thread has been told of. */
interface Waiter {
  readonly resolve: (outcomes: readonly Outcome[]) => void;
  readonly reject: (error: Error) => void;
}

/** Runs units in threads that run `serveUnits`. They do not keep the program alive. */
export function threadWorkers(threads: readonly Worker[]): Workers {
  const waiters = threads.map(() => new Map<number, Waiter>());
  for (const [index, thread] of threads.entries()) {
    const mine = waiters[index] as Map<number, Waiter>;
    thread.on('message', ({ unit, outcomes, failure }: Answer) => {
      const waiter = mine.get(unit);
      mine.delete(unit);
      if (failure === null) waiter?.resolve(outcomes);
      else waiter?.reject(new Error(failure));
    });
    const fail = (error: Error): void => {
      for (const waiter of mine.values()) waiter.reject(error);
      mine.clear();
    };
    thread.on('error', fail);
    thread.on('exit', () => fail(new Error('a thread of the search has ended')));
  }
  return {
    places: threads.length * UNITS_A_THREAD,
    run(unit) {
      return new Promise((resolve, reject) => {
        let idlest = 0;
        for (const [index, mine] of waiters.entries()) if (mine.size < (waiters[idlest]?.size ?? 0)) idlest = index;
        waiters[idlest]?.set(unit, { resolve, reject });
        threads[idlest]?.postMessage(unit satisfies Order);
      });
    },
    stop() {
      for (const thread of threads) thread.postMessage(null satisfies Order);
    },
  };
}

/** The work of a thread: runs the units that the other end of `port` names, until the port is closed. */
export function serveUnits(units: Units, port: MessagePort): void {
  let isStopped = false;
  let last = Promise.resolve();
  port.on('message', (order: Order) => {
    if (order === null) isStopped = true;
    else last = last.then(() => answer(order));
  });
  const answer = async (unit: number): Promise<void> => {
    let outcomes: readonly Outcome[] = [];
    let failure: string | null = null;
    try {
      if (!isStopped) outcomes = await units.run(unit, () => isStopped);
    } catch (error) {
      failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    port.postMessage({ unit, outcomes, failure } satisfies Answer);
  };
}
