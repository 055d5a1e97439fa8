/** Runs one case of an order: asks a walk for each choice, and keeps the steps that came of it. */
import type { BlockBackend } from '../../block/backend.ts';
import { portOf } from '../../block/debug/port.ts';
import { type DebugEvent, eventName } from '../../block/events/events.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import type { Baseline } from '../aftermath.ts';
import type { Case, CaseHooks, CaseViewer } from '../case.ts';
import { judge, type Judged } from '../judge.ts';
import type { Scheduler, Stop } from '../scheduler.ts';
import { assert } from '../../util/assert.ts';
import type { World } from '../world.ts';
import type { UserRequest, UserWatcher } from '../world/watched-backend.ts';
import { type Step, StepRecorder } from './step-recorder.ts';

/** Chooses the order of one case. */
export interface Chooser {
  /**
   * One of `enabled`, by name; null to give the case up. `stops` are where they are. `steps` are those of the run so
   * far.
   */
  choose(enabled: readonly string[], stops: readonly Stop[], steps: readonly Step[]): string | null;
}

/** A judged order. */
export interface JudgedOrder {
  readonly judged: Judged;
  readonly steps: readonly Step[];
}

/** An order that was begun. */
interface TriedOrder {
  /** Null if it was given up. */
  readonly judged: Judged | null;
  readonly steps: readonly Step[];
}

/** Runs the scenario of `world` in the order that `chooser` gives, which does not give it up. */
export async function runOrder(
  world: World,
  baseline: Baseline,
  chooser: Chooser,
  viewer?: CaseViewer,
): Promise<JudgedOrder> {
  const { judged, steps } = await tryOrder(world, baseline, chooser, viewer);
  assert(judged !== null, 'the order was run to its end');
  return { judged, steps };
}

/** `runOrder` for a chooser that may give the case up: it is not judged then. */
export async function tryOrder(
  world: World,
  baseline: Baseline,
  chooser: Chooser,
  viewer?: CaseViewer,
): Promise<TriedOrder> {
  return new Promise((resolve, reject) => {
    let order: OrderedCase | null = null;
    const end = (judged: Judged | null): void => resolve({ judged, steps: order?.steps ?? [] });
    const hook = (running: () => Case): CaseHooks => {
      order = new OrderedCase(running, chooser, () => end(null));
      return { ...order.hooks, viewer };
    };
    judge(world, baseline, hook).then(end, reject);
  });
}

/** The part of a search in one case. */
class OrderedCase {
  readonly hooks: CaseHooks;
  readonly #running: () => Case;
  readonly #chooser: Chooser;
  readonly #onGivenUp: () => void;
  #recorder: StepRecorder | null = null;
  /** The image that requests of the user went to last, and its length in bytes when a step began. */
  #image: BlockBackend | null = null;
  #length = 0;

  constructor(running: () => Case, chooser: Chooser, onGivenUp: () => void) {
    this.#running = running;
    this.#chooser = chooser;
    this.#onGivenUp = onGivenUp;
    this.hooks = {
      madeLoop: (loop) => {
        this.#recorder = new StepRecorder(loop, () => this.#running().command);
      },
      scheduler: this.#scheduler,
      event: (node, event) => this.#event(node, event),
      request: (file) => {
        this.#recorder?.file(file);
        return undefined;
      },
      watcher: this.#watch,
    };
  }

  get steps(): readonly Step[] {
    return this.#recorder?.steps ?? [];
  }

  readonly #scheduler: Scheduler = {
    choose: (stops: readonly Stop[]): number | null => {
      const recorder = this.#recorder as StepRecorder;
      this.#noteLength();
      const enabled = stops.map(({ request }) => recorder.nameOf(request));
      recorder.end(enabled);
      const chosen = this.#chooser.choose(enabled, stops, recorder.steps);
      if (chosen === null) {
        this.#running().giveUp();
        this.#onGivenUp();
        return null;
      }
      const index = enabled.indexOf(chosen);
      recorder.begin(chosen, enabled, stops[index] as Stop);
      return index;
    },
  };

  /** A rule for the event is looked at, and its hits and the state may change. */
  #event(node: BlockNode, event: DebugEvent): undefined {
    const name = eventName(event);
    const rules = portOf(node)?.rules.list() ?? [];
    if (rules.some((rule) => rule.event === null || rule.event === name)) {
      this.#recorder?.changes(`rules of ${node.nodeName}`);
    }
    return undefined;
  }

  /** The model of the disk depends on the order in which requests of the user begin and end. */
  readonly #watch: UserWatcher = (request, image) => {
    if (this.#image !== image) this.#length = image.getLength();
    this.#image = image;
    this.#recorder?.uses('length', 0, 1, false);
    this.#touch(request);
    return () => this.#touch(request);
  };

  /** Requests are held to the length when they begin; it changes in the middle of one, and when a write ends. */
  #noteLength(): void {
    const length = this.#image?.isAvailable === true ? this.#image.getLength() : this.#length;
    if (length !== this.#length) this.#recorder?.uses('length', 0, 1, true);
    this.#length = length;
  }

  #touch({ kind, offset, bytes }: UserRequest): void {
    const recorder = this.#recorder;
    if (kind === 'truncate') recorder?.uses('guest', 0, Number.MAX_SAFE_INTEGER, true);
    else if (kind === 'flush') recorder?.uses('guest', 0, Number.MAX_SAFE_INTEGER, false);
    else recorder?.uses('guest', offset, bytes, kind !== 'read' && kind !== 'load');
  }
}
