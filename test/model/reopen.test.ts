/**
 * Reopen and close with requests in flight, against the model of a disk: random scripts with breakpoints, reopens and
 * images that are left with requests suspended. `CASES=20000 SEED=7 npm test -- test/model/reopen` tries more.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../src/block/backend.ts';
import { anyDisk } from './disk.ts';
import type { Plants } from './run-script.ts';
import { anyStepsWithReopen } from './steps.ts';
import { caseCount, violationOf } from './violation.ts';

const anyScript = fc.record({
  disk: anyDisk,
  steps: anyStepsWithReopen,
  readsAlways: fc.constant(false),
  leavesSuspended: fc.boolean(),
});

const findViolation = (numRuns = caseCount, plants: Plants = {}) => violationOf(anyScript, numRuns, plants);

describe('reopen and close lose nothing that was acknowledged', () => {
  it('for random scripts', { timeout: 60_000 + caseCount * 100 }, async () => {
    expect(await findViolation()).toBeNull();
  });

  it('which is seen to fail when requests run through a reopen', { timeout: 120_000 }, async () => {
    const letThrough = (backend: BlockBackend): void => {
      backend.beginDrained = () => {};
      backend.idle = function* (body) {
        return yield body();
      };
    };
    expect(await findViolation(3000, { backend: letThrough })).toMatch(/reopen[^]*=> Error: /);
  });
});
