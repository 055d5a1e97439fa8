/** Pending L2 updates: parts of writes in flight whose clusters are not yet, or not yet fully, in the L2 table. */
import type { Counted } from '../../../block/hazards/flush-order.ts';
import type { Place } from '../../../block/hazards/places.ts';
import type { CoroutineQueue } from '../../../block/loop/coroutine-queue.ts';
import type { Coroutine } from '../../../block/loop/loop.ts';
import { assert } from '../../../util/assert.ts';
import type { Pending } from '../../../util/steps.ts';
import { advance, type GuestOffset, type HostOffset } from '../format/offsets.ts';
import type { Qcow2Image } from './image.ts';

/** A piece of a write, within one slice, and the host cluster where it begins. */
export interface WritePiece {
  readonly cluster: HostOffset;
  readonly position: GuestOffset;
  readonly bytes: number;
  /** The clusters are the guest's already: only the state of subclusters may change. */
  readonly keepsOldClusters: boolean;
}

/** Bytes that are copied from the old content; the offset counts from the first cluster's start. */
export interface CowRegion {
  readonly offset: number;
  readonly bytes: number;
}

/** One part of a write that has yet to be entered into the L2 table (QEMU's QCowL2Meta). */
export class PendingL2Update {
  /** Of the first cluster, on both sides. */
  readonly guest: GuestOffset;
  readonly host: HostOffset;
  readonly clusterCount: number;
  /** The clusters were there before, and only their state changes. */
  readonly keepsOldClusters: boolean;
  /** Right before the guest's data. */
  readonly head: CowRegion;
  /** Right behind the guest's data; its offset counts even if it is empty. */
  readonly tail: CowRegion;
  /** The part of the same request that was found before this one. */
  readonly next: PendingL2Update | null;
  /** The request that it is a part of. */
  readonly owner: Coroutine | null;
  /** Writers that overlap with this one and begin anew when it is done; null while there is none. */
  dependents: CoroutineQueue | null = null;
  /** Head and tail need no copy: the space is zeroed already. */
  skipsCow = false;
  /** Subclusters keep their state: nothing is written, the space is only reserved. */
  isPreallocation = false;
  /** The refcounts of new clusters as they were when those were taken, for the detector of hazards. */
  readonly counted: readonly Counted[];
  /** How many writes the file had had when head and tail were copied; 0 if they were not. */
  copied = 0;
  /** The space as the detector knows it; null without one. */
  place: Place | null = null;
  /** The guest's data, if it is to be written together with head and tail. */
  data: Buffer | null = null;
  /** Counts up with age; set while the update is one of the image's. */
  order = -1;
  /** Neighbours among the image's updates. */
  newer: PendingL2Update | null = null;
  older: PendingL2Update | null = null;

  /** The piece, and what is copied around it, reach from `copiesFrom` to `copiesTo`: bytes from the first cluster. */
  constructor(
    image: Qcow2Image,
    { cluster, position, bytes, keepsOldClusters }: WritePiece,
    copiesFrom: number,
    copiesTo: number,
    next: PendingL2Update | null,
  ) {
    const into = image.intoCluster(position);
    const end = into + bytes;
    this.guest = image.startOfCluster(position);
    this.host = cluster;
    this.clusterCount = image.clustersFor(end);
    this.keepsOldClusters = keepsOldClusters;
    this.head = { offset: copiesFrom, bytes: into - copiesFrom };
    this.tail = { offset: end, bytes: copiesTo - end };
    this.next = next;
    this.owner = image.loop.current;
    const isCounted = !keepsOldClusters && !image.hasDataFile;
    this.counted = isCounted ? countsOf(image, cluster, this.clusterCount * image.clusterBytes) : noCounts;
  }

  /** Guest offsets between which everything is written, copied parts included. */
  get start(): number {
    return this.guest + this.head.offset;
  }

  /** See `start`. */
  get end(): number {
    return this.guest + this.tail.offset + this.tail.bytes;
  }

  /** Something of the old clusters or of the backing file is to be copied around the guest's data. */
  get needsCow(): boolean {
    return this.head.bytes !== 0 || this.tail.bytes !== 0;
  }
}

const noCounts: readonly Counted[] = [];

/** The refcounts of clusters that were just taken, for the detector of hazards; none without one. */
export function countsOf(image: Qcow2Image, host: HostOffset, bytes: number): readonly Counted[] {
  const { hazards, refcountTable, refcountBlockEntries } = image;
  if (hazards === null) return noCounts;
  const counts: Counted[] = [];
  const end = image.clusterIndexOf(host + bytes - 1) + 1;
  for (let cluster = image.clusterIndexOf(host); cluster < end; ) {
    const index = image.refcountTableIndexOf(cluster);
    const behind = Math.min(end, (index + 1) * refcountBlockEntries);
    const count = hazards.order.counted(refcountTable.blockOffset(index), cluster, behind);
    if (count !== null) counts.push(count);
    cluster = behind;
  }
  return counts;
}

/** Up to so many updates are not indexed. */
const FEW = 8;

/**
 * The pending updates of an image, in order of age, indexed by the guest clusters that they touch. Several may touch
 * one cluster: updates that keep old clusters only exclude each other where their subclusters overlap.
 */
export class PendingUpdates {
  readonly #image: Qcow2Image;
  /** Null while there are so few that looking at all of them is as fast. */
  #byCluster: Map<number, PendingL2Update[]> | null = null;
  #newest: PendingL2Update | null = null;
  /** How many there are. Only changed in here. */
  size = 0;
  #nextOrder = 0;

  constructor(image: Qcow2Image) {
    this.#image = image;
  }

  /** Adds an update, as the newest. */
  add(update: PendingL2Update): void {
    assert(update.order === -1, 'an update is added once');
    this.#image.loop.witness?.changes(this.#image.lock.name);
    update.order = this.#nextOrder++;
    const { hazards, clusterBytes } = this.#image;
    if (hazards !== null) {
      const { host, clusterCount, guest, owner } = update;
      update.place = hazards.data.begin('taken', host, clusterCount * clusterBytes, guest, owner);
    }
    update.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = update;
    this.#newest = update;
    this.size += 1;
    if (this.#byCluster !== null) this.#index(update);
    else if (this.size > FEW) this.#indexAll();
  }

  #indexAll(): void {
    this.#byCluster = new Map();
    let update = this.#newest;
    while (update !== null && update.older !== null) update = update.older;
    for (; update !== null; update = update.newer) this.#index(update);
  }

  #index(update: PendingL2Update): void {
    const { first, end } = this.#clustersOf(update);
    for (let cluster = first; cluster < end; cluster++) {
      const others = this.#byCluster?.get(cluster);
      if (others === undefined) this.#byCluster?.set(cluster, [update]);
      else others.push(update);
    }
  }

  /** Removes an update; false if it is none of the image's. */
  delete(update: PendingL2Update): boolean {
    if (update.order === -1) return false;
    update.order = -1;
    if (update.place !== null) this.#image.hazards?.data.end(update.place);
    if (update.newer === null) this.#newest = update.older;
    else update.newer.older = update.older;
    if (update.older !== null) update.older.newer = update.newer;
    update.newer = null;
    update.older = null;
    this.size -= 1;
    if (this.size === 0) this.#byCluster = null;
    if (this.#byCluster === null) return true;
    const { first, end } = this.#clustersOf(update);
    for (let cluster = first; cluster < end; cluster++) {
      const others = this.#byCluster.get(cluster) ?? [];
      if (others.length <= 1) this.#byCluster.delete(cluster);
      else others.splice(others.indexOf(update), 1);
    }
    return true;
  }

  /** The updates that touch a cluster of a guest range, newest first. */
  touching(guest: GuestOffset, bytes: number): readonly PendingL2Update[] {
    const first = this.#image.clusterIndexOf(guest);
    const end = this.#image.clusterIndexOf(guest + bytes - 1) + 1;
    if (this.#byCluster !== null && end - first < this.size) return inClusters(this.#byCluster, first, end);
    const found: PendingL2Update[] = [];
    for (let update = this.#newest; update !== null; update = update.older) {
      const own = this.#clustersOf(update);
      if (own.first < end && first < own.end) found.push(update);
    }
    return found;
  }

  /** The guest clusters of an update, copied parts included. */
  #clustersOf(update: PendingL2Update): { first: number; end: number } {
    return {
      first: this.#image.clusterIndexOf(update.start),
      end: Math.ceil(update.end / this.#image.clusterBytes),
    };
  }
}

function inClusters(
  byCluster: ReadonlyMap<number, readonly PendingL2Update[]>,
  first: number,
  end: number,
): readonly PendingL2Update[] {
  const found = new Set<PendingL2Update>();
  for (let cluster = first; cluster < end; cluster++) {
    for (const update of byCluster.get(cluster) ?? []) found.add(update);
  }
  return [...found].sort((a, b) => b.order - a.order);
}

/** Host space found for a write: contiguous, with the parts of it that have yet to be entered into the L2 table. */
export class Allocation {
  /** Where the guest's data goes; -1 while nothing is found. */
  host = -1 as HostOffset;
  /** How many bytes are found. */
  bytes = 0;
  /** Newest first. Must be linked or given back, also if the search failed. */
  parts: PendingL2Update | null = null;
  /** The problem of an L2 entry that must not be, at which the search has ended; null if there is none. */
  problem: string | null = null;

  /** Where what is found ends. */
  get end(): HostOffset {
    return advance(this.host, this.bytes);
  }

  /** Whether a cluster continues what is found; any does while nothing is. */
  mayGoOnAt(cluster: HostOffset): boolean {
    return this.bytes === 0 || cluster === this.end;
  }

  /** Adds space that continues what is found. Gives the number of its bytes. */
  add(host: HostOffset, bytes: number): number {
    if (this.bytes === 0) this.host = host;
    this.bytes += bytes;
    return bytes;
  }

  /** Forgets what is found. Its parts, if it has any, must have been linked or given back. */
  clear(): void {
    this.host = -1 as HostOffset;
    this.bytes = 0;
    this.parts = null;
  }
}

/**
 * The order of the steps of a write, which is the promise that a crash and a concurrent read rely on. An object of the
 * image, so that tests can break the promise and see it noticed.
 */
export interface WriteOrdering {
  /** Writes one part of a request to the space found for it, and makes its new clusters visible. */
  writePart(image: Qcow2Image, guest: GuestOffset, data: Buffer, allocation: Allocation): Pending;
  /** The barrier between two steps: everything written to the image file is on stable storage behind it. */
  flushFile(image: Qcow2Image): Pending;
}
