/**
 * The whole stack against a model of what a disk may hold: random concurrent requests, held at breakpoints, over random
 * disks. `CASES=20000 SEED=7 npm test -- test/model` tries more.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RequestTracker } from '../../src/block/request/serialise.ts';
import { anyDisk } from './disk.ts';
import { runScript, scriptText } from './run-script.ts';
import { anySteps } from './steps.ts';

const plant = vi.hoisted(() => ({ linksBeforeData: false }));

// The planted bug: clusters are entered into the L2 table first, and get the guest's data afterwards.
vi.mock('../../src/drivers/qcow2/data/cow.ts', async (importOriginal) => {
  const real = await importOriginal<typeof import('../../src/drivers/qcow2/data/cow.ts')>();
  return {
    ...real,
    zeroNewSpace: function* (...[image, parts]: Parameters<typeof real.zeroNewSpace>) {
      if (!plant.linksBeforeData) {
        yield* real.zeroNewSpace(image, parts);
        return;
      }
      const locking = image.lock.lock();
      if (locking !== undefined) yield locking;
      try {
        for (let part = parts; part !== null; part = part.next) yield* real.linkPart(image, part);
      } finally {
        image.lock.unlock();
      }
    },
    mergeIntoCow: (...parameters: Parameters<typeof real.mergeIntoCow>) =>
      !plant.linksBeforeData && real.mergeIntoCow(...parameters),
    linkParts: function* (...[image, allocation]: Parameters<typeof real.linkParts>) {
      if (!plant.linksBeforeData) {
        yield* real.linkParts(image, allocation);
        return;
      }
      for (let part = allocation.parts; part !== null; part = part.next) {
        image.allocations.splice(image.allocations.indexOf(part), 1);
        part.dependents.wakeAll();
        allocation.parts = part.next;
      }
    },
  };
});

const seed = Number(process.env.SEED ?? 1);
const caseCount = Number(process.env.CASES ?? 250);

const anyScript = fc.record({ disk: anyDisk, steps: anySteps, readsAlways: fc.boolean() });

/** The shortest script that shows a sector with a value that it must not hold, and which; null if none was found. */
async function findViolation(numRuns = caseCount): Promise<string | null> {
  const found = await fc.check(fc.asyncProperty(anyScript, runScript), { seed, numRuns });
  if (!found.failed || found.counterexample === null) return null;
  const [script] = found.counterexample;
  return `${scriptText(script)}\n=> ${String(found.errorInstance)}`;
}

describe('every sector that is read holds a value that was written to it and not overwritten', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    plant.linksBeforeData = false;
  });

  it('for random concurrent requests', { timeout: 60_000 + caseCount * 100 }, async () => {
    expect(await findViolation()).toBeNull();
  });

  // The test above shows that the first of the same scripts pass without the plants.
  it('which is seen to fail when overlapping requests are not serialised', async () => {
    vi.spyOn(RequestTracker.prototype, 'makeSerialising').mockImplementation(async function (
      this: RequestTracker,
      request,
      align,
    ) {
      this.tryMakeSerialising(request, align);
    });
    vi.spyOn(RequestTracker.prototype, 'waitForSerialising').mockReturnValue(undefined);
    const violation = await findViolation(600);
    expect(violation).toMatch(/align=4096[^]*aio_write[^]*aio_write[^]*=> Error: the sector at \d+ holds/);
  });

  it('which is seen to fail when qcow2 enters clusters into the L2 table before their data is written', async () => {
    plant.linksBeforeData = true;
    const violation = await findViolation(600);
    expect(violation).toMatch(/driver=qcow2[^]*aio_write[^]*=> Error: the sector at \d+ holds/);
  });
});
