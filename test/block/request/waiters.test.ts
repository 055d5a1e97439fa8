/** Requests that wait for others go on in the order in which they would if each were woken and looked again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoroutineQueue } from '../../../src/block/loop/coroutine-queue.ts';
import { EventLoop } from '../../../src/block/loop/loop.ts';
import { RequestTracker, type TrackedRequest } from '../../../src/block/request/serialise.ts';
import type { Pending } from '../../../src/util/steps.ts';
import { memoryNode } from '../../helpers/memory-node.ts';

/** A request of the test: a range, perhaps serialising, perhaps up to the end of every file. */
interface Plan {
  readonly offset: number;
  readonly bytes: number;
  readonly serialises: 'no' | 'range' | 'to the end';
  /** How many times it waits for the host. */
  readonly turns: number;
}

const anyPlan: fc.Arbitrary<Plan> = fc.record({
  offset: fc.nat({ max: 40 }),
  bytes: fc.integer({ min: 1, max: 8 }),
  serialises: fc.constantFrom('no' as const, 'no' as const, 'range' as const, 'to the end' as const),
  turns: fc.integer({ min: 1, max: 3 }),
});

/** The rules of waiting, request by request: all that wait are woken when one ends, and look again. */
class NaiveTracker {
  readonly #loop: EventLoop;
  readonly #all: { plan: Plan; end: number; serialises: boolean; waits: boolean; queue: CoroutineQueue }[] = [];

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  async run(plan: Plan, body: () => Promise<void>): Promise<void> {
    const end = plan.serialises === 'to the end' ? Number.MAX_SAFE_INTEGER : plan.offset + plan.bytes;
    const own = {
      plan,
      end,
      serialises: plan.serialises !== 'no',
      waits: false,
      queue: new CoroutineQueue(this.#loop),
    };
    this.#all.unshift(own);
    const conflict = () =>
      this.#all.find(
        (other) =>
          other !== own &&
          !other.waits &&
          (other.serialises || own.serialises) &&
          other.plan.offset < own.end &&
          own.plan.offset < other.end,
      );
    for (let other = conflict(); other !== undefined; other = conflict()) {
      own.waits = true;
      await other.queue.wait({ kind: 'overlap', blockedBy: null });
      own.waits = false;
    }
    await body();
    this.#all.splice(this.#all.indexOf(own), 1);
    own.queue.wakeAll();
  }
}

async function trackedRun(tracker: RequestTracker, plan: Plan, body: () => Promise<void>): Promise<void> {
  const request: TrackedRequest = tracker.begin('write', plan.offset, plan.bytes);
  const waits: { readonly [S in Plan['serialises']]: () => Pending } = {
    no: () => tracker.waitForSerialising(request),
    range: () => tracker.makeSerialising(request, 1),
    'to the end': () => tracker.serialiseToEnd(plan.offset),
  };
  await waits[plan.serialises]();
  await body();
  tracker.end(request);
}

/** The order in which requests begin and end that are started in a row, with turns of the loop in between. */
async function orderOf(
  plans: readonly Plan[],
  loop: EventLoop,
  run: (plan: Plan, body: () => Promise<void>) => Promise<void>,
): Promise<string[]> {
  const order: string[] = [];
  for (const [index, plan] of plans.entries()) {
    const body = async (): Promise<void> => {
      order.push(`begin ${index}`);
      for (let turn = 0; turn < plan.turns; turn++) await loop.bottomHalf();
      order.push(`end ${index}`);
    };
    await loop.spawn(
      { operation: `${index}` },
      () => run(plan, body),
      () => {},
    );
    if (index % 5 === 4) await loop.poll();
  }
  while (await loop.poll(false));
  return order;
}

describe('requests that overlap', () => {
  it('go on in the order of requests that are woken one by one', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyPlan, { minLength: 2, maxLength: 60, size: 'max' }), async (plans) => {
        const naiveLoop = new EventLoop();
        const naive = new NaiveTracker(naiveLoop);
        const expected = await orderOf(plans, naiveLoop, (plan, body) => naive.run(plan, body));
        expect(expected).toHaveLength(plans.length * 2);
        const { node } = memoryNode(512);
        const tracker = new RequestTracker(node);
        expect(await orderOf(plans, node.loop, (plan, body) => trackedRun(tracker, plan, body))).toEqual(expected);
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});
