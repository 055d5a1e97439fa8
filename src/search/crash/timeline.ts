/** The requests of the user in the order in which they began and ended, so that the model is had as of any moment. */
import type { BlockBackend } from '../../block/backend.ts';
import type { DiskModel } from '../model/disk-model.ts';
import type { GuestContent } from '../model/guest-content.ts';
import { ModelWatcher } from '../model/model-watcher.ts';
import type { UserRequest, UserWatcher } from '../world/watched-backend.ts';

/** A request that began, or the end of the one of this index, when the log had `position` entries. */
type Act =
  | { readonly position: number; readonly begun: UserRequest; readonly backend: BlockBackend }
  | { readonly position: number; readonly ended: number; readonly error: unknown };

/** All requests of a case that change the disk or flush it. */
export class Timeline {
  readonly #position: () => number;
  readonly #acts: Act[] = [];

  /** `position`: the length of the case's log now. */
  constructor(position: () => number) {
    this.#position = position;
  }

  readonly watch: UserWatcher = (request, backend) => {
    if (request.kind === 'read') return () => {};
    const index = this.#acts.length;
    // The buffer is used again for the next command.
    const begun = { ...request, data: request.data === null ? null : Buffer.from(request.data) };
    this.#acts.push({ position: this.#position(), begun, backend });
    return (error) => this.#acts.push({ position: this.#position(), ended: index, error });
  };

  /** The model of a disk that begins as `initial`, to be taken through the moments of the case. */
  replay(initial: GuestContent): Replay {
    return new Replay(this.#acts, initial);
  }
}

/** The model of the disk at ascending moments. */
export class Replay {
  readonly #acts: readonly Act[];
  readonly #watcher: ModelWatcher;
  readonly #ends = new Map<number, (error: unknown) => void>();
  #next = 0;

  constructor(acts: readonly Act[], initial: GuestContent) {
    this.#acts = acts;
    this.#watcher = new ModelWatcher(initial);
  }

  /** As of when the log had `position` entries, which is not before the position asked for last. */
  modelAt(position: number): DiskModel {
    for (; this.#next < this.#acts.length; this.#next++) {
      const act = this.#acts[this.#next] as Act;
      if (act.position > position) break;
      if ('begun' in act) this.#ends.set(this.#next, this.#watcher.watch(act.begun, act.backend));
      else this.#ends.get(act.ended)?.(act.error);
    }
    return this.#watcher.model;
  }
}
