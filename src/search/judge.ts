/** Runs one case and judges it: the loop body of every search. */
import type { Baseline, Expectation } from './aftermath.ts';
import { Case, type CaseHooks, type FinishedCase } from './case.ts';
import { ModelWatcher } from './model/model-watcher.ts';
import { type Verdict, verdictOn } from './verdict.ts';
import type { World } from './world.ts';

/** A judged case. Its disks are released. */
export interface Judged {
  readonly finished: FinishedCase;
  readonly verdict: Verdict;
  /** The content that the disk had to have. */
  readonly expected: Expectation;
}

/** Runs the scenario of `world` with the hooks that `hook` makes for the case, and judges it. */
export async function judge(
  world: World,
  baseline: Baseline,
  hook: (running: () => Case) => CaseHooks = () => ({}),
): Promise<Judged> {
  const watcher = new ModelWatcher(baseline.content);
  let running: Case | null = null;
  const hooks = hook(() => running as Case);
  const { watcher: second } = hooks;
  running = new Case(world, {
    ...hooks,
    watcher:
      second === undefined
        ? watcher.watch
        : (request, backend) => {
            const ends = [watcher.watch(request, backend), second(request, backend)];
            return (error) => {
              for (const end of ends) end(error);
            };
          },
  });
  const finished = await running.run();
  const { journal, disks, crash } = finished;
  const closing = journal.findIndex(({ kind }) => kind === 'closing');
  const isClosed = crash === null && closing >= 0;
  const isFlushed = isClosed && !journal.slice(closing).some(({ kind }) => kind === 'said' || kind === 'failed');
  // One that crashed or hangs still has its files open.
  disks.abandon();
  const expected = { model: watcher.model, isFlushed };
  const after = await baseline.sights.lookAfter(world, disks, expected);
  disks.release();
  return { finished, expected, verdict: verdictOn({ finished, violations: watcher.violations, after, baseline }) };
}
