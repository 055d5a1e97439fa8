/** Follows the requests of a user, and holds what is read against the model of the disk. */
import type { BlockBackend } from '../../block/backend.ts';
import type { UserRequest, UserWatcher } from '../world/watched-backend.ts';
import { type Content, contentOf } from './content.ts';
import { DiskModel, type Violation } from './disk-model.ts';
import type { GuestContent } from './guest-content.ts';

const ZEROES: Content = { kind: 'fill', value: 0 };

/** The model of the image of one case. Images that the script opens beside it are not followed. */
export class ModelWatcher {
  readonly model: DiskModel;
  /** Of reads, in the order in which they ended. */
  readonly violations: Violation[] = [];
  #filename: string | null = null;
  #length: number;

  /** `initial`: the disk before the case. */
  constructor(initial: GuestContent) {
    this.#length = initial.lengthBytes;
    this.model = new DiskModel(Number.MAX_SAFE_INTEGER, ZEROES);
    const whole = this.model.beginWrite(0, initial.lengthBytes, { kind: 'initial', initial }, true);
    this.model.endWrite(whole, true);
  }

  readonly watch: UserWatcher = (request, backend) => {
    if (!this.#isOurs(backend)) return () => {};
    switch (request.kind) {
      case 'read':
        return this.#read(request);
      case 'flush':
        return this.#flush();
      case 'truncate':
        return this.#truncate(request);
      case 'write':
      case 'compressed':
      case 'zero':
      case 'discard':
        return this.#write(request);
      // The VM state is no part of the guest's disk.
      case 'load':
      case 'save':
        return () => {};
    }
  };

  #isOurs({ top }: BlockBackend): boolean {
    this.#filename ??= top.filename;
    return this.#filename === top.filename;
  }

  #read({ offset, bytes, data }: UserRequest): (error: unknown) => void {
    const read = this.model.beginRead(offset, bytes);
    return (error) => {
      const violation = this.model.endRead(read, error === undefined ? data : null);
      if (violation !== null) this.violations.push(violation);
    };
  }

  #write({ kind, offset, bytes, data, isStable }: UserRequest): (error: unknown) => void {
    const content = data === null ? ZEROES : contentOf(data, offset);
    const write = this.model.beginWrite(offset, bytes, content, isStable && kind !== 'discard');
    // A discard may leave what it likes; a request that failed may have done its work, or a part of it.
    return (error) => this.model.endWrite(write, error === undefined && kind !== 'discard');
  }

  #flush(): (error: unknown) => void {
    const beganAt = this.model.beginFlush();
    return (error) => {
      if (error === undefined) this.model.endFlush(beganAt);
    };
  }

  /** The part that is cut off is gone, and a new one reads as zeroes. */
  #truncate({ offset: length }: UserRequest): (error: unknown) => void {
    const from = Math.min(length, this.#length);
    const write = this.model.beginWrite(from, Number.MAX_SAFE_INTEGER - from, ZEROES);
    return (error) => {
      this.model.endWrite(write, error === undefined);
      if (error === undefined) this.#length = length;
    };
  }
}
