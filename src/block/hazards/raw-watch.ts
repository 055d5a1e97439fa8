/** The hazards of a raw image, in which an offset of the guest's disk is one of the file. */
import { compactBytes } from '../../util/compact.ts';
import { rootOf } from '../loop/coroutine.ts';
import type { BlockNode } from '../graph/node.ts';
import type { TrackedRequest } from '../request/serialise.ts';
import { askerOf, describe, hasAskedHost, isSameRequest, type RequestWatch, tellHazard } from './detector.ts';

/** Watches a node with rules below a raw image. */
export class RawWatch implements RequestWatch {
  readonly #raw: BlockNode;
  readonly #node: BlockNode;
  /** Where the image begins in the file, in bytes. */
  readonly #start: () => number;
  /** The pairs of requests that were told of. */
  readonly #told = new WeakMap<TrackedRequest, Set<number>>();

  /** `start` is where the image begins in the file. */
  constructor(raw: BlockNode, node: BlockNode, start: () => number) {
    this.#raw = raw;
    this.#node = node;
    this.#start = start;
  }

  changes(kind: 'write' | 'discard' | 'truncate', offset: number, bytes: number): void {
    // Nothing but the request itself, as nearly always.
    if (this.#raw.inFlight < 2) return;
    const { current } = this.#node.loop;
    const start = offset - this.#start();
    for (let other = this.#raw.requests.newest; other !== null; other = other.older) {
      if (other.kind !== 'write' || other.offset >= start + bytes || start >= other.offset + other.bytes) continue;
      if (isSameRequest(other.coroutine, current) || other.waits || hasAskedHost(other.coroutine)) continue;
      // An asker may write its own data twice.
      if (kind === 'write' && askerOf(other.coroutine) === askerOf(current)) continue;
      if (this.#isNew(other)) this.#tell(kind, other, start, bytes);
    }
  }

  #isNew(other: TrackedRequest): boolean {
    const { current } = this.#node.loop;
    const told = this.#told.get(other) ?? new Set<number>();
    this.#told.set(other, told);
    const root = current === null ? 0 : rootOf(current).id;
    if (told.has(root)) return false;
    told.add(root);
    return true;
  }

  #tell(kind: 'write' | 'discard' | 'truncate', other: TrackedRequest, start: number, bytes: number): void {
    const guestOffset = Math.max(start, other.offset);
    const length = Math.min(start + bytes, other.offset + other.bytes) - guestOffset;
    const fileOffset = guestOffset + this.#start();
    const who = describe(this.#node.loop.current);
    const verb = kind === 'discard' ? 'discards' : 'cuts off';
    tellHazard(this.#node, {
      kind: kind === 'write' ? 'written-twice' : 'freed-in-flight',
      text:
        kind === 'write'
          ? `${who} and ${describe(other.coroutine)} both write file ${compactBytes(fileOffset)}`
          : `${who} ${verb} file ${compactBytes(fileOffset)} under ${describe(other.coroutine)}`,
      other: other.coroutine,
      fileOffset,
      bytes: length,
      guestOffset,
    });
  }

  losesWrite(): void {}

  losesFlush(): void {}
}
