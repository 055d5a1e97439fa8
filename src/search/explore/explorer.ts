/** Runs one case of an order: asks a walk for each choice, and keeps the steps that came of it. */
import type { BlockBackend } from '../../block/backend.ts';
import { portOf } from '../../block/debug/port.ts';
import { type DebugEvent, eventName } from '../../block/events/events.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import type { Baseline } from '../aftermath.ts';
import type { Case, CaseHooks, CaseViewer } from '../case.ts';
import { judge, type Judged } from '../judge.ts';
import type { Scheduler, Stop } from '../scheduler.ts';
import type { World } from '../world.ts';
import type { UserRequest, UserWatcher } from '../world/watched-backend.ts';
import { type Step, StepRecorder } from './step-recorder.ts';

/** Chooses the order of one case. */
export interface Chooser {
  /** One of `enabled`, by name; `stops` are where they are. `steps` are those of the run so far. */
  choose(enabled: readonly string[], stops: readonly Stop[], steps: readonly Step[]): string;
}

/** A judged order. */
export interface JudgedOrder {
  readonly judged: Judged;
  readonly steps: readonly Step[];
}

/** Runs the scenario of `world` in the order that `chooser` gives. */
export async function runOrder(
  world: World,
  baseline: Baseline,
  chooser: Chooser,
  viewer?: CaseViewer,
): Promise<JudgedOrder> {
  let order: OrderedCase | null = null;
  const judged = await judge(world, baseline, (running) => {
    order = new OrderedCase(running, chooser);
    return { ...order.hooks, viewer };
  });
  return { judged, steps: (order as OrderedCase | null)?.steps ?? [] };
}

/** The part of a search in one case. */
class OrderedCase {
  readonly hooks: CaseHooks;
  readonly #running: () => Case;
  readonly #chooser: Chooser;
  #recorder: StepRecorder | null = null;
  /** The image that requests of the user went to last, and its length in bytes when a step began. */
  #image: BlockBackend | null = null;
  #length = 0;

  constructor(running: () => Case, chooser: Chooser) {
    this.#running = running;
    this.#chooser = chooser;
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
    choose: (stops: readonly Stop[]): number => {
      const recorder = this.#recorder as StepRecorder;
      this.#noteLength();
      recorder.end();
      const enabled = stops.map(({ request }) => recorder.nameOf(request));
      const chosen = this.#chooser.choose(enabled, stops, recorder.steps);
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
