/**
 * The hazards of an image: events that must not happen to it and do, told at once, where they happen.
 *
 * The detector stands beside a node with rules (blkdebug), where requests are held and failed, and belongs to the raw
 * or qcow2 image above it. It is there from the opening of the image to its close, and takes note of requests while
 * they are in flight; without such a node there is none. It never changes what a request does. Where a qcow2 image has
 * its data in a file of its own, that file has places of its own, and a node with rules over either file will do.
 *
 * `freed-in-flight`: a cluster of the file is given back (its refcount falls to 0; in a raw image a range is discarded
 * or cut off) while another request is about to read or write there: it has looked up the place, and the host has not
 * been asked yet. In a raw image, and in an external data file, only writes count: a read gets the old data or zeroes.
 * A cluster of a data file, which has no refcount, is given back when its L2 entry is.
 *
 * `written-twice`: two requests are about to write one range of the file at the same time, for different parts of the
 * guest's disk, or one of them writes metadata there. Two writes of one asker to the same part of its disk are its own
 * affair, in an order that it left open, and no hazard; those of two askers (the shell and a client, or two clients)
 * are one.
 *
 * `not-flushed`: a table is written to the file with an entry that points to something which has to be on stable
 * storage before, by the rules of QEMU's caches, and is not:
 *   - an L2 entry that was entered for a new cluster, and the refcount of that cluster, unless the image is marked
 *     dirty for lazy refcounts (`qcow2_cache_set_dependency` of the L2 cache on that of refcount blocks);
 *   - an L2 entry, and the old data that was copied into its new cluster around the guest's
 *     (`qcow2_cache_depends_on_flush`); the guest's own data may come later: the guest flushes it. Where the copy is in
 *     an external data file QEMU 7.2 flushes the image file instead, and breaks the rule (observed with strace);
 *   - an L1 entry, and its new L2 table and the refcount of that;
 *   - an entry of the refcount table, and its new refcount block.
 * "On stable storage" is: written, and a flush of the file that began after that has ended well. With cache=unsafe a
 * flush counts although the host is not asked. A write that a rule drops, tears or misdirects is not on the disk, and a
 * flush by which a rule lies puts nothing there.
 *
 * `not-counted`: a refcount falls behind the references: an L2 entry is made to point to a cluster that was given back
 * since the request took it or found it there, or a reference is given up whose refcount is 0 already. Nothing counts
 * the clusters of an external data file. Whether the whole image counts right is the business of `check`.
 *
 * A request and its parts are one. Each hazard between two requests is told once.
 */
import { requestName, requestText } from '../../util/compact.ts';
import { type Coroutine, rootOf } from '../loop/coroutine.ts';
import type { HazardKind } from '../events/trace.ts';
import type { BlockNode } from '../graph/node.ts';

/** A hazard that is told by the running request. Offsets and lengths in bytes. */
export interface Hazard {
  readonly kind: HazardKind;
  /** A sentence that names the requests. */
  readonly text: string;
  /** The other request; null if there is none. */
  readonly other: Coroutine | null;
  readonly fileOffset: number;
  readonly bytes: number;
  /** Left out where no data of the guest is in danger. */
  readonly guestOffset?: number;
}

/** Told by a node with rules of what its requests are about to do, and of what its faults make of them. */
export interface RequestWatch {
  /** A request that has waited for all that it had to is about to change a range of the node. */
  changes(kind: 'write' | 'discard' | 'truncate', offset: number, bytes: number): void;
  /** A write will be acknowledged, and never be on the disk as it is. */
  losesWrite(offset: number, bytes: number): void;
  /** A flush will be acknowledged, and nothing is on stable storage by it. */
  losesFlush(): void;
}

/** Tells of a hazard on the bus, for the running request; `node` holds the file that it is in. */
export function tellHazard({ trace, loop, nodeName }: BlockNode, hazard: Hazard): void {
  const { kind, text, other, fileOffset, bytes, guestOffset } = hazard;
  trace.emit(loop.current?.id ?? 0, nodeName, {
    kind: 'hazard',
    hazard: kind,
    text,
    other: other === null ? 0 : rootOf(other).id,
    fileOffset,
    bytes,
    ...(guestOffset === undefined ? {} : { guestOffset }),
  });
}

/** Whether both are one request, or parts of one. What runs outside of requests is one of its own. */
export function isSameRequest(one: Coroutine | null, other: Coroutine | null): boolean {
  if (one === null || other === null) return one === other;
  return rootOf(one) === rootOf(other);
}

/** The client that asked for a request; null for the shell, and outside of requests. */
export function askerOf(request: Coroutine | null): string | null {
  return request === null ? null : rootOf(request).origin;
}

/** "w7": the request of the user. */
export function nameOf(request: Coroutine | null): string {
  if (request === null) return 'the session';
  const { operation, id } = rootOf(request);
  return requestName(operation, id);
}

/** "w7 (write 4k@64k)", the range that of the guest's disk. */
export function describe(request: Coroutine | null): string {
  if (request === null) return 'the session';
  const { operation, id, offset, bytes } = rootOf(request);
  return `${requestName(operation, id)} (${requestText(operation, offset ?? null, bytes ?? null)})`;
}

/** The host has been asked already; what is left is that the request goes on. */
export function hasAskedHost(request: Coroutine | null): boolean {
  return request?.waitsFor?.kind === 'host-io';
}
