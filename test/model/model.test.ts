/**
 * The whole stack against a model of what a disk may hold: random concurrent requests, held at breakpoints, over random
 * disks. `CASES=20000 SEED=7 npm test -- test/model` tries more.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { RequestTracker, type TrackedRequest } from '../../src/block/request/serialise.ts';
import { plantEntriesFirst } from './entries-first.ts';
import { anyDisk } from './disk.ts';
import type { Plants } from './run-script.ts';
import { anySteps } from './steps.ts';
import { caseCount, violationOf } from './violation.ts';

/** The planted bug: requests that overlap do not wait for each other. */
class CarelessTracker extends RequestTracker {
  override async makeSerialising(request: TrackedRequest, align: number): Promise<void> {
    this.tryMakeSerialising(request, align);
  }

  override waitForSerialising(): undefined {
    return undefined;
  }
}

function plantCarelessTracker(node: BlockNode): void {
  node.requests = new CarelessTracker(node);
}

const anyScript = fc.record({ disk: anyDisk, steps: anySteps, readsAlways: fc.boolean() });

const findViolation = (numRuns = caseCount, plants: Plants = {}) => violationOf(anyScript, numRuns, plants);

describe('every sector that is read holds a value that was written to it and not overwritten', () => {
  it('for random concurrent requests', { timeout: 60_000 + caseCount * 100 }, async () => {
    expect(await findViolation()).toBeNull();
  });

  // The test above shows that the first of the same scripts pass without the plants.
  it('which is seen to fail when overlapping requests are not serialised', async () => {
    const violation = await findViolation(600, { node: plantCarelessTracker });
    expect(violation).toMatch(/align=4096[^]*aio_write[^]*aio_write[^]*=> Error: the sector at \d+ holds/);
  });

  it('which is seen to fail when qcow2 enters clusters into the L2 table before their data is written', async () => {
    const violation = await findViolation(600, { node: plantEntriesFirst });
    expect(violation).toMatch(/driver=qcow2[^]*aio_write[^]*=> Error: (the sector at \d+ holds|\d+ corruptions)/);
  });
});
