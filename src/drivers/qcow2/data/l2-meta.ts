/** One part of a write in flight whose clusters are not yet, or not yet fully, in the L2 table. */
import { CoroutineQueue } from '../../../block/loop/coroutine-queue.ts';
import type { Coroutine } from '../../../block/loop/loop.ts';
import type { Qcow2Image } from '../tables/image.ts';
import type { GuestOffset, HostOffset } from '../format/offsets.ts';

/** Bytes that are copied from what was there before; the offset counts from the first cluster's start. */
export interface CowRegion {
  readonly offset: number;
  readonly bytes: number;
}

/** One part of a write that has yet to be entered into the L2 table. */
export class L2Meta {
  /** Of the first cluster, on both sides. */
  readonly guest: GuestOffset;
  readonly host: HostOffset;
  readonly clusterCount: number;
  /** The clusters were there before, and only their state changes. */
  readonly keepsOldClusters: boolean;
  /** Right before what the guest writes. */
  readonly head: CowRegion;
  /** Right behind what the guest writes; its offset counts even if it is empty. */
  readonly tail: CowRegion;
  /** The rest of the same request's parts: the one found before this one. */
  readonly next: L2Meta | null;
  /** The request that it is a part of. */
  readonly owner: Coroutine | null;
  /** Writers that overlap with this one and begin anew when it is done. */
  readonly dependents: CoroutineQueue;
  /** Head and tail need no copy: the space is zeroed already. */
  skipsCow = false;
  /** Subclusters keep their state: nothing is written, the space is only reserved. */
  isPreallocation = false;
  /** The guest's data, if it is to be written together with head and tail. */
  data: Buffer | null = null;

  constructor(
    image: Qcow2Image,
    part: Pick<L2Meta, 'guest' | 'host' | 'clusterCount' | 'keepsOldClusters' | 'head' | 'tail' | 'next'>,
  ) {
    this.guest = part.guest;
    this.host = part.host;
    this.clusterCount = part.clusterCount;
    this.keepsOldClusters = part.keepsOldClusters;
    this.head = part.head;
    this.tail = part.tail;
    this.next = part.next;
    this.owner = image.loop.current;
    this.dependents = new CoroutineQueue(image.loop);
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
