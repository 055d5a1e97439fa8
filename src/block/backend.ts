/** The backend: what a user of the block layer (the shell) holds of an opened image. */
import { Errno } from '../util/errno.ts';
import type { Preallocation } from './driver.ts';
import { BlockError } from './error.ts';
import { Req } from './flags.ts';
import type { EventLoop, RequestLabel } from './loop.ts';
import type { BlockNode, ChildLink, Parent } from './node.ts';
import { pdiscard } from './request/discard.ts';
import { flush } from './request/flush.ts';
import { preadv } from './request/read.ts';
import { truncate } from './request/truncate.ts';
import { loadVmState, saveVmState } from './request/vmstate.ts';
import { pwriteZeroes, pwritev } from './request/write.ts';

export class BlockBackend implements Parent {
  readonly description = 'an unnamed block device';
  readonly node = null;
  readonly root: ChildLink;
  /** Off: every write is on stable storage before it ends (write-through). */
  writeCacheEnabled = true;
  /** Requests of this backend that have begun and not ended. */
  inFlight = 0;
  readonly #loop: EventLoop;

  constructor(root: (backend: BlockBackend) => ChildLink) {
    this.root = root(this);
    this.#loop = this.root.node.loop;
  }

  get top(): BlockNode {
    return this.root.node;
  }

  /** The length in bytes now. */
  getLength(): number {
    return this.top.getLength();
  }

  /** Fills `data` from `offset`. EIO if the range is not within the image. */
  async pread(offset: number, data: Buffer): Promise<void> {
    await this.#request('read', offset, data.length, () => preadv(this.root, offset, data, 0));
  }

  /** Writes `data`; `flags` are bits of `Req`. */
  async pwrite(offset: number, data: Buffer, flags: number): Promise<void> {
    await this.#request('write', offset, data.length, () => pwritev(this.root, offset, data, this.#withFua(flags)));
  }

  async pwriteZeroes(offset: number, bytes: number, flags: number): Promise<void> {
    await this.#request('write -z', offset, bytes, () => pwriteZeroes(this.root, offset, bytes, this.#withFua(flags)));
  }

  async pwriteCompressed(offset: number, data: Buffer): Promise<void> {
    await this.#request('write -c', offset, data.length, () =>
      pwritev(this.root, offset, data, this.#withFua(Req.WRITE_COMPRESSED)),
    );
  }

  async pdiscard(offset: number, bytes: number): Promise<void> {
    await this.#request('discard', offset, bytes, () => pdiscard(this.root, offset, bytes));
  }

  async flush(): Promise<void> {
    this.#label({ operation: 'flush' });
    await this.#counted(() => flush(this.top));
  }

  async truncate(bytes: number, exact: boolean, preallocation: Preallocation, flags: number): Promise<void> {
    this.#label({ operation: 'truncate', offset: bytes });
    await this.#counted(() => truncate(this.root, bytes, exact, preallocation, flags));
  }

  async loadVmState(offset: number, data: Buffer): Promise<void> {
    this.#label({ operation: 'read -b', offset, bytes: data.length });
    await this.#counted(() => loadVmState(this.top, offset, data));
  }

  /** Writes VM state; with the write cache off it is flushed as well. */
  async saveVmState(offset: number, data: Buffer): Promise<void> {
    this.#label({ operation: 'write -b', offset, bytes: data.length });
    await this.#counted(async () => {
      await saveVmState(this.top, offset, data);
      if (!this.writeCacheEnabled) await flush(this.top);
    });
  }

  /**
   * Starts a request in the background: enters it and returns once it waits for something or is done. `onDone` is
   * called with what it threw, undefined for success; never before this returns.
   */
  async start(label: RequestLabel, body: () => Promise<void>, onDone: (error: unknown) => void): Promise<void> {
    await this.#loop.spawn(label, body, onDone);
  }

  #withFua(flags: number): number {
    return this.writeCacheEnabled ? flags : flags | Req.FUA;
  }

  #label(label: RequestLabel): void {
    const coroutine = this.#loop.current;
    if (coroutine !== null) coroutine.label = label;
  }

  async #request(operation: string, offset: number, bytes: number, body: () => Promise<void>): Promise<void> {
    this.#label({ operation, offset, bytes });
    await this.#counted(() => {
      this.#checkWithin(offset, bytes);
      return body();
    });
    // A request cancelled at a point where it had no I/O left to fail has still been cancelled.
    this.#loop.checkCancelled();
  }

  async #counted(body: () => Promise<void>): Promise<void> {
    this.inFlight += 1;
    try {
      await body();
    } finally {
      this.inFlight -= 1;
    }
  }

  #checkWithin(offset: number, bytes: number): void {
    if (this.top.closed || !isInserted(this.top)) throw new BlockError(Errno.ENOMEDIUM);
    const length = this.getLength();
    if (offset < 0 || bytes < 0 || offset > length || length - offset < bytes) throw new BlockError(Errno.EIO);
  }
}

/** Whether a node and all nodes below it have a medium. */
function isInserted(node: BlockNode): boolean {
  if (node.driver.isInserted !== undefined) return node.driver.isInserted(node);
  return node.children.every((child) => isInserted(child.node));
}
