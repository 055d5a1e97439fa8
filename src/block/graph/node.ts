/** A node of the block graph: one opened driver, with its children, its limits and the requests in flight on it. */
import type { Driver } from '../driver.ts';
import { eventName, type DebugEvent } from '../events/events.ts';
import { BlockError } from '../error.ts';
import { Open, SECTOR_BYTES } from '../flags.ts';
import { CoroutineQueue } from '../loop/coroutine-queue.ts';
import type { RequestWatch } from '../hazards/detector.ts';
import type { EventLoop } from '../loop/loop.ts';
import type { JsonObject } from '../options/json.ts';
import type { Options } from '../options/options.ts';
import type { RequestTracker } from '../request/serialise.ts';
import type { GraphContext } from './context.ts';
import type { TraceBus } from '../events/trace.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { divRoundUp } from '../../util/align.ts';
import type { Pending } from '../../util/steps.ts';

/** A driver gets no more than this in one go: QEMU counts bytes of a transfer in an `int`. */
export const MAX_TRANSFER_BYTES = 0x7fffffff;

/** Limits of a node's driver. Lengths in bytes; 0 means no limit, except for the alignments of memory and requests. */
export interface Limits {
  /** Offset and length of requests are multiples of this power of two, at least 1. */
  requestAlignment: number;
  maxTransfer: number;
  /** The longest aligned read or write that the driver takes in one go; 0 where not even one block goes through. */
  transferBytes: number;
  optTransfer: number;
  pwriteZeroesAlignment: number;
  maxPwriteZeroes: number;
  pdiscardAlignment: number;
  maxPdiscard: number;
  minMemAlignment: number;
  optMemAlignment: number;
}

/** Limits of a node that asks for nothing: bytes may lie anywhere, and 0 stands for "no bound" or "no preference". */
export function noLimits(): Limits {
  return {
    requestAlignment: 1,
    maxTransfer: 0,
    transferBytes: MAX_TRANSFER_BYTES,
    optTransfer: 0,
    pwriteZeroesAlignment: 0,
    maxPwriteZeroes: 0,
    pdiscardAlignment: 0,
    maxPdiscard: 0,
    minMemAlignment: 0,
    optMemAlignment: 0,
  };
}

/** Something that holds a node and has a say in its permissions: a parent node or a backend. */
export interface Parent {
  /** How messages call it: "node 'x'" or "an unnamed block device". */
  readonly description: string;
  /** The node of a parent that is one. */
  readonly node: BlockNode | null;
}

/** The edge from a parent to a node. `perm` and `shared` are bits of `Perm`, `role` of `Role`. */
export interface ChildLink {
  readonly name: string;
  readonly parent: Parent;
  readonly node: BlockNode;
  role: number;
  perm: number;
  shared: number;
}

/** The treatment of a write of zeroes: as data, as a zero write, or as one that may also unmap. */
export type DetectZeroes = 'off' | 'on' | 'unmap';

/** A node: `S` is the state of its driver. Lengths in bytes, `totalSectors` in units of 512. */
export class BlockNode<S = unknown> {
  readonly driver: Driver<S>;
  readonly context: GraphContext;
  readonly loop: EventLoop;
  readonly trace: TraceBus;
  readonly nodeName: string;
  /** Display name: the user's node-name, otherwise the driver's name. */
  readonly label: string;
  /** Set by the driver's `open`. */
  state!: S;

  /** In the order in which they were attached, newest first. */
  readonly children: ChildLink[] = [];
  /**
   * The child that holds what this node is: the filtered one, or where a format keeps its metadata. Kept by the graph.
   */
  primaryChild: ChildLink | null = null;
  file: ChildLink | null = null;
  backing: ChildLink | null = null;
  readonly parents: ChildLink[] = [];
  /** Edges on the longest way from this node down to one without children. Kept by the graph. */
  height = 0;

  limits: Limits = noLimits();
  /** Bits of `Open`. */
  openFlags: number;
  /** `openFlags` as the reopen that is being prepared will make them; null if there is none. */
  reopenFlags: number | null = null;
  /** The file name as given, or as the driver refreshed it. */
  filename = '';
  /** A file name that alone opens the same node; empty if there is none. */
  exactFilename = '';
  /** The options that the user gave for this node (not those of its children), for reopen and for `json:{}` names. */
  options: Options;
  /** The subset of `options` given explicitly, without inherited values. */
  explicitOptions: Options;
  /** The parent that this node was opened for and inherits options from; null if it was opened by itself. */
  inheritsFrom: BlockNode | null = null;
  /** Links and openers that keep the node open; counted by `block/graph/graph.ts`. */
  references = 1;
  /** Gathered by `refreshFilename`: a tree of options that opens the same graph. */
  fullOpenOptions: JsonObject = new Map();
  /** The backing file as the image names it, and its format; empty if it names none. Set by a format's `open`. */
  backingFilename = '';
  backingFormat = '';
  /** The name of the node that `backingFilename` alone opens; anything else in its place was chosen by the user. */
  autoBackingFilename = '';
  /** The backing file that is open, or being opened, because the image names it; empty if there is none. */
  impliedBacking = '';
  /** The format was guessed, not given. */
  probed = false;
  detectZeroes: DetectZeroes = 'off';
  forceShare = false;
  copyOnRead = 0;
  closed = false;
  /** Called for every range that a write or a discard may have changed: dirty bitmaps. */
  onChanged: ((offset: number, bytes: number) => void) | null = null;
  /** Writes and discards fail with EPERM, because a dirty bitmap cannot take note of them. */
  refusesChanges = false;

  /** Length in sectors, rounded up. */
  totalSectors = 0;
  /** The loop's epoch in which the driver was asked for the length. */
  #lengthEpoch = -1;
  /** Bits of `Req` that the driver's methods take. */
  supportedReadFlags = 0;
  supportedWriteFlags = 0;
  supportedZeroFlags = 0;
  supportedTruncateFlags = 0;

  /** Is told what requests are about to do here, and what faults make of them; null where no detector is. */
  watch: RequestWatch | null = null;
  /** Requests on this node that have begun and not ended. */
  inFlight = 0;
  /** Set by the request pipeline when the node is opened. */
  requests!: RequestTracker;
  /** Counts finished writes; a flush at the same count as the last one has nothing to do. */
  writeGeneration = 0;
  flushedGeneration = 0;
  flushActive = false;
  readonly flushQueue: CoroutineQueue;
  /** The last range that a protocol driver reported as data: start and end in bytes, both 0 if there is none. */
  dataRangeStart = 0;
  dataRangeEnd = 0;

  constructor(driver: Driver<S>, context: GraphContext, nodeName: string, openFlags: number, options: Options) {
    this.driver = driver;
    this.context = context;
    this.loop = context.loop;
    this.trace = context.trace;
    this.nodeName = nodeName;
    this.label = nodeName.startsWith('#') ? driver.formatName : nodeName;
    this.openFlags = openFlags;
    this.options = options;
    this.explicitOptions = options;
    this.flushQueue = new CoroutineQueue(context.loop);
  }

  /** As opened, or as the last reopen made it. */
  get isReadOnly(): boolean {
    return (this.openFlags & Open.READ_WRITE) === 0;
  }

  /**
   * The length in bytes, a multiple of 512. Where the driver says that it may vary, the host is asked, once a command;
   * what requests do to it in between is known without that. Throws EFBIG if it cannot be said.
   */
  getLength(): number {
    if (this.driver.hasVariableLength === true && this.#lengthEpoch !== this.loop.epoch) {
      this.refreshTotalSectors(this.totalSectors);
    }
    return this.totalSectors * SECTOR_BYTES;
  }

  /** Asks the driver for the length; a driver that cannot tell is believed to have `hintSectors`. */
  refreshTotalSectors(hintSectors: number): void {
    let sectors = hintSectors;
    if (this.driver.getLength !== undefined) {
      sectors = divRoundUp(this.driver.getLength(this), SECTOR_BYTES);
    }
    this.totalSectors = sectors;
    this.#lengthEpoch = this.loop.epoch;
    // In sectors a length is exact up to 2^62 bytes; requests reach up to 2^53.
    if (!Number.isSafeInteger(sectors)) throw new BlockError(Errno.EFBIG);
  }

  /** The child that this node is a filter of; null if it is none. */
  get filteredChild(): ChildLink | null {
    return this.driver.isFilter === true ? (this.backing ?? this.file) : null;
  }

  /** The backing file of a node that copies on write. */
  get cowChild(): ChildLink | null {
    return this.driver.isFilter === true ? null : this.backing;
  }

  /** The child whose data shows through where this node has none; null if there is none. */
  get filterOrCowChild(): ChildLink | null {
    return this.cowChild ?? this.filteredChild;
  }

  /** Fires an event on this node. A promise only if the request has to wait for a breakpoint. */
  debugEvent(event: DebugEvent): Pending {
    this.trace.history.add(event, this.loop.current, this.label, this.driver.debugEvent !== undefined);
    if (this.trace.active) {
      this.trace.emit(this.loop.current?.id ?? 0, this.nodeName, { kind: 'event', event: eventName(event) });
    }
    return this.driver.debugEvent?.(this, event);
  }
}

/** The file of a node whose driver has opened one. */
export function fileOf({ file }: { readonly file: ChildLink | null }): ChildLink {
  assert(file !== null, 'the driver has opened a file');
  return file;
}
