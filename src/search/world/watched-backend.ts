/** The image as the shell uses it, with every request of the user told to the case. */
import { BlockBackend } from '../../block/backend.ts';
import type { TruncateOptions } from '../../block/driver.ts';
import { Req } from '../../block/flags.ts';
import type { ChildLink } from '../../block/graph/node.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';

/** A request of the user. Offsets and lengths in bytes; a truncate has the new length as its offset. */
export interface UserRequest {
  readonly kind: 'read' | 'write' | 'zero' | 'compressed' | 'discard' | 'flush' | 'truncate' | 'load' | 'save';
  readonly offset: number;
  readonly bytes: number;
  /** Data to be written, or the buffer that a read fills; null where there is none. */
  readonly data: Buffer | null;
  /** It is on stable storage once it has ended: FUA, or no write cache. */
  readonly isStable: boolean;
}

/** Is told of a request when it begins; the function returned is called when it ends, with its error or undefined. */
export type UserWatcher = (request: UserRequest, backend: BlockBackend) => (error: unknown) => void;

/** A backend that tells its watcher. */
export class WatchedBackend extends BlockBackend {
  readonly #watcher: UserWatcher;
  readonly #beginning: () => Pending;

  /** `beginning` waits before a request begins. */
  constructor(root: ChildLink, watcher: UserWatcher, beginning: () => Pending = () => undefined) {
    super(root);
    this.#watcher = watcher;
    this.#beginning = beginning;
  }

  override pread(offset: number, data: Buffer): Pending {
    return this.#watch('read', offset, data.length, data, 0, () => super.pread(offset, data));
  }

  override pwrite(offset: number, data: Buffer, flags: number): Pending {
    return this.#watch('write', offset, data.length, data, flags, () => super.pwrite(offset, data, flags));
  }

  override pwriteZeroes(offset: number, bytes: number, flags: number): Pending {
    return this.#watch('zero', offset, bytes, null, flags, () => super.pwriteZeroes(offset, bytes, flags));
  }

  override pwriteCompressed(offset: number, data: Buffer): Pending {
    return this.#watch('compressed', offset, data.length, data, 0, () => super.pwriteCompressed(offset, data));
  }

  override pdiscard(offset: number, bytes: number): Pending {
    return this.#watch('discard', offset, bytes, null, 0, () => super.pdiscard(offset, bytes));
  }

  override flush(): Pending {
    return this.#watch('flush', 0, 0, null, 0, () => super.flush());
  }

  override truncate(bytes: number, options: Partial<TruncateOptions> = {}): Pending {
    return this.#watch('truncate', bytes, 0, null, 0, () => super.truncate(bytes, options));
  }

  override loadVmState(offset: number, data: Buffer): Pending {
    return this.#watch('load', offset, data.length, data, 0, () => super.loadVmState(offset, data));
  }

  override saveVmState(offset: number, data: Buffer): Pending {
    return this.#watch('save', offset, data.length, data, 0, () => super.saveVmState(offset, data));
  }

  #watch(
    kind: UserRequest['kind'],
    offset: number,
    bytes: number,
    data: Buffer | null,
    flags: number,
    body: () => Pending,
  ): Pending {
    const isStable = !this.writeCacheEnabled || (flags & Req.FUA) !== 0;
    const request = { kind, offset, bytes, data, isStable };
    const waiting = this.#beginning();
    return waiting === undefined ? this.#follow(request, body) : run(this.#followAfter(waiting, request, body));
  }

  *#followAfter(waiting: Promise<void>, request: UserRequest, body: () => Pending): Steps<void> {
    yield waiting;
    yield this.#follow(request, body);
  }

  #follow(request: UserRequest, body: () => Pending): Pending {
    const end = this.#watcher(request, this);
    let pending: Pending;
    try {
      pending = body();
    } catch (error) {
      end(error);
      throw error;
    }
    if (pending !== undefined) return run(endAfter(pending, end));
    end(undefined);
    return undefined;
  }
}

function* endAfter(pending: Promise<void>, end: (error: unknown) => void): Steps<void> {
  let failure: unknown;
  try {
    yield pending;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    end(failure);
  }
}
