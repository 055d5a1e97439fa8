/** The places of an image file that requests are about to read or write, and which of them meet there. */
import type { Coroutine } from '../loop/coroutine.ts';
import type { BlockNode } from '../graph/node.ts';
import { compactBytes } from '../../util/compact.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { askerOf, describe, hasAskedHost, isSameRequest, nameOf, tellHazard } from './detector.ts';

/** The use of a place: `taken` space is written later, and belongs to its request until an entry points there. */
export type Use = 'read' | 'write' | 'taken';

/** A place in use. Offsets and lengths in bytes. */
export class Place {
  readonly use: Use;
  /** Of the file. */
  readonly offset: number;
  readonly bytes: number;
  /** Of the guest's disk; null for metadata. */
  readonly guest: number | null;
  readonly request: Coroutine | null;
  /** The request that has given the place back meanwhile; null if none has. */
  freedBy: Coroutine | null = null;
  /** Neighbours among the places of the image. @internal */
  newer: Place | null = null;
  older: Place | null = null;

  constructor(use: Use, offset: number, bytes: number, guest: number | null, request: Coroutine | null) {
    this.use = use;
    this.offset = offset;
    this.bytes = bytes;
    this.guest = guest;
    this.request = request;
  }
}

/** The places in use of one file of an image. */
export class Places {
  readonly #node: BlockNode;
  /** "file", or "data file". */
  readonly #fileName: string;
  #newest: Place | null = null;
  /** The pairs of requests that were told to write the same. */
  readonly #told = new Set<string>();

  /** `node` holds the file, which messages call `fileName`. */
  constructor(node: BlockNode, fileName: string) {
    this.#node = node;
    this.#fileName = fileName;
  }

  /**
   * Does I/O of the running request at a place, which is known from now to the end of the I/O. `guest` is the offset of
   * the guest's disk, null for metadata; all in bytes.
   *
   * While no other request has a place, none can meet this one before it waits, and most end without: then only one
   * that waits is given its place.
   */
  during(use: Use, offset: number, bytes: number, guest: number | null, io: () => Pending): Pending {
    const { current } = this.#node.loop;
    const place = this.#areAllOf(current) ? null : this.begin(use, offset, bytes, guest, current);
    let pending: Pending;
    try {
      pending = io();
    } catch (error) {
      if (place !== null) this.end(place);
      throw error;
    }
    if (pending !== undefined) {
      return run(this.#endAfter(pending, place ?? this.begin(use, offset, bytes, guest, current)));
    }
    if (place !== null) this.end(place);
    return undefined;
  }

  *#endAfter(pending: Promise<void>, place: Place): Steps<void> {
    try {
      yield pending;
    } finally {
      this.end(place);
    }
  }

  /** No place is in use, or only places of this request. */
  #areAllOf(request: Coroutine | null): boolean {
    for (let place = this.#newest; place !== null; place = place.older) {
      if (!isSameRequest(place.request, request)) return false;
    }
    return true;
  }

  /** A request is about to use a place; `end` must follow. */
  begin(use: Use, offset: number, bytes: number, guest: number | null, request: Coroutine | null): Place {
    const place = new Place(use, offset, bytes, guest, request);
    if (this.#newest !== null) {
      if (use !== 'read') this.#checkWrite(place);
      this.#newest.newer = place;
      place.older = this.#newest;
    }
    this.#newest = place;
    return place;
  }

  /** A place is not used any more. */
  end(place: Place): void {
    if (place.newer === null) this.#newest = place.older;
    else place.newer.older = place.older;
    if (place.older !== null) place.older.newer = place.newer;
    place.newer = null;
    place.older = null;
    if (this.#newest === null && this.#told.size > 0) this.#told.clear();
  }

  #checkWrite(place: Place): void {
    for (let other = this.#newest; other !== null; other = other.older) {
      if (other.use === 'read' || !overlaps(other, place.offset, place.bytes)) continue;
      if (isSameRequest(place.request, other.request) || isOver(other) || mayShare(place, other)) continue;
      this.#tellWrites(place, other);
    }
  }

  #tellWrites(place: Place, other: Place): void {
    const key = `${nameOf(place.request)} ${nameOf(other.request)}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    const fileOffset = Math.max(place.offset, other.offset);
    const bytes = Math.min(place.offset + place.bytes, other.offset + other.bytes) - fileOffset;
    const guestOffset = other.guest === null ? undefined : other.guest + fileOffset - other.offset;
    tellHazard(this.#node, {
      kind: 'written-twice',
      text: `${described(place)} and ${described(other)} both write ${this.#at(fileOffset)}`,
      other: other.request,
      fileOffset,
      bytes,
      ...(guestOffset === undefined ? {} : { guestOffset }),
    });
  }

  /** A cluster of the file is free from now on. */
  freed(offset: number, bytes: number): void {
    const { current } = this.#node.loop;
    for (let place = this.#newest; place !== null; place = place.older) {
      if (!overlaps(place, offset, bytes) || place.freedBy !== null) continue;
      if (isSameRequest(place.request, current) || isOver(place)) continue;
      place.freedBy = current;
      // Space that was taken is written by the same request: one line for both.
      if (this.#isToldOf(place)) continue;
      const fileOffset = Math.max(offset, place.offset);
      tellHazard(this.#node, {
        kind: 'freed-in-flight',
        text: `${describe(current)} frees ${this.#at(offset)} under ${described(place)}`,
        other: place.request,
        fileOffset,
        bytes: Math.min(offset + bytes, place.offset + place.bytes) - fileOffset,
        ...(place.guest === null ? {} : { guestOffset: place.guest + fileOffset - place.offset }),
      });
    }
  }

  /** Whether another place of the same request was found free by the same one before. */
  #isToldOf(place: Place): boolean {
    for (let other = this.#newest; other !== null; other = other.older) {
      if (other === place || other.freedBy !== place.freedBy) continue;
      if (isSameRequest(other.request, place.request)) return true;
    }
    return false;
  }

  #at(offset: number): string {
    return `${this.#fileName} ${compactBytes(offset)}`;
  }

  /** An entry now points to space of a request, which nothing counts any more. */
  tellUncounted(place: Place, guestOffset: number, fileOffset: number, bytes: number): void {
    const who = place.freedBy === null ? 'another request' : describe(place.freedBy);
    tellHazard(this.#node, {
      kind: 'not-counted',
      text:
        `${describe(place.request)} points guest ${compactBytes(guestOffset)} to ${this.#at(fileOffset)}, ` +
        `which ${who} has given back: no refcount counts it`,
      other: place.freedBy,
      fileOffset,
      bytes,
      guestOffset,
    });
  }

  /** A reference to a cluster is given up whose refcount is 0. */
  tellUnderflow(fileOffset: number, bytes: number): void {
    tellHazard(this.#node, {
      kind: 'not-counted',
      text: `${describe(this.#node.loop.current)} gives back ${this.#at(fileOffset)}, whose refcount is 0 already`,
      other: null,
      fileOffset,
      bytes,
    });
  }
}

function overlaps(place: Place, offset: number, bytes: number): boolean {
  return place.offset < offset + bytes && offset < place.offset + place.bytes;
}

/** Whether the host has been asked for it. Space that a request has taken stays its own until the end. */
function isOver(place: Place): boolean {
  return place.use !== 'taken' && hasAskedHost(place.request);
}

/** Whether two writes may meet: metadata comes one after the other, and an asker may write its own data twice. */
function mayShare(one: Place, other: Place): boolean {
  if (one.guest === null || other.guest === null) return one.guest === other.guest;
  return one.guest - one.offset === other.guest - other.offset && askerOf(one.request) === askerOf(other.request);
}

function described({ request, guest }: Place): string {
  return guest === null ? `${nameOf(request)}, for metadata,` : describe(request);
}
