/**
 * The driver contract: what the block layer asks of a driver, and what it promises to it.
 *
 * A driver is one literal of methods. What it leaves out has the default said at each method; a filter (`isFilter`)
 * that leaves a method out passes the request through to its filtered child (`defineFilter`).
 *
 * The request pipeline (`block/request/`) promises to the data methods, and asserts in `request/driver-io.ts`:
 * - the node is open;
 * - `preadv`, `pwritev`: offset and length are multiples of `limits.requestAlignment`, and the length is at most
 *   `limits.transferBytes`; `pwritevCompressed`: the same multiples, any length;
 * - `pwriteZeroes`: the same multiples, and at most `limits.maxPwriteZeroes`. All but the edges of a range is made of
 *   multiples of `limits.pwriteZeroesAlignment`, until the driver leaves a piece to the fallback;
 * - `pdiscard`: at most `limits.maxPdiscard`. All but the edges of a range is made of multiples of
 *   `limits.pdiscardAlignment`, and the edges may lie anywhere;
 * - flags are limited to what the node says it supports (`node.supportedWriteFlags`, …).
 *
 * It also promises that `data` stays untouched by others until the method's promise ends, and that reads never reach
 * beyond the node's length rounded up to its alignment. A limit of 0 is none.
 *
 * A method fails by throwing `BlockError`; ENOTSUP asks for the generic fallback where there is one. A method waits
 * only by awaiting the block layer's own functions, `loop.park` and its relatives (see `loop.ts`).
 */
import type { Answer, Pending } from '../util/steps.ts';
import type { BlockNode, ChildLink } from './graph/node.ts';
import type { DebugEvent } from './events/events.ts';
import type { Options, OptionType } from './options/options.ts';
import type { GraphContext } from './graph/context.ts';
import type { DebugPort } from './debug/port.ts';
import type { Inspector } from './inspect.ts';

/** A position on the guest's disk, in bytes; a type of its own for drivers that map it to one in the file below. */
export type GuestOffset = number & { readonly __offset: 'guest' };
/** A position in the file below, in bytes. */
export type HostOffset = number & { readonly __offset: 'host' };

/** How new space is made when a node grows. */
export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

/** An option of `create`: its name in `-o`, and the value that it has without being given, if it is said then. */
export interface CreateOption {
  readonly name: string;
  readonly type: OptionType;
  readonly initial?: string;
  readonly help: string;
}

/** The options of what is there already and can only be used: an export of NBD, a device. */
export const fallbackOptions: readonly CreateOption[] = [
  { name: 'size', type: 'size', help: 'the least length that it must have' },
  { name: 'preallocation', type: 'string', help: 'off' },
];

/** Options of `create` by name. Their types are right; numbers and sizes stand in decimal digits. */
export type CreateValues = ReadonlyMap<string, string>;

/** A snapshot within an image. */
export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  readonly vmStateBytes: number;
  readonly date: Date;
  /** The guest's clock in nanoseconds. */
  readonly vmClockNs: bigint;
  /** Instructions that the guest had run; null if unknown. */
  readonly instructions: bigint | null;
}

/** A snapshot to be taken. */
export interface NewSnapshot {
  readonly name: string;
  readonly date: Date;
}

/** Snapshots within an image, with QEMU's texts of failures. No request may be in flight. */
export interface SnapshotMethods<S> {
  list(node: BlockNode<S>): readonly SnapshotInfo[];
  create(node: BlockNode<S>, snapshot: NewSnapshot): Promise<void>;
  /** By number, else by name. */
  apply(node: BlockNode<S>, which: string): Promise<void>;
  delete(node: BlockNode<S>, name: string): Promise<void>;
}

/** How a node is made longer or shorter. */
export interface TruncateOptions {
  /** Not longer than asked for, either. */
  readonly exact: boolean;
  readonly preallocation: Preallocation;
  /** Bits of `Req`: ZERO_WRITE if the new area must read as zeroes. */
  readonly flags: number;
}

/** The state of a range that starts at the offset asked for. */
export interface BlockStatus {
  /** Bits of `Status`. */
  readonly flags: number;
  /** Bytes with this state, a positive multiple of the node's alignment; may be less than the whole run. */
  readonly bytes: number;
  /** Where the range is in `file`, if OFFSET_VALID. */
  readonly map: number;
  readonly file: BlockNode | null;
}

/** A node's geometry, as `info` prints it. */
export interface DriverInfo {
  /** Bytes; 0 if the format has no clusters. */
  readonly clusterBytes: number;
  /** Byte offset of the VM state behind the guest's data; 0 if there is none. */
  readonly vmStateOffset: number;
  readonly isDirty?: boolean;
  readonly subclusterBytes?: number;
}

/** Format-specific information: a tree that `info` prints, keys in order. */
export type SpecificInfo = { readonly [key: string]: SpecificValue };
/** A value in that tree. */
export type SpecificValue = string | number | boolean | readonly SpecificValue[] | SpecificInfo;

/** A dirty bitmap of a node: the granules of its disk that were written. */
export interface DirtyBitmap {
  readonly lengthBytes: number;
  readonly granuleBytes: number;
  /** The runs of dirty granules, ascending, from the first to before the end; null if the bitmap cannot be believed. */
  readonly runs: (() => Iterable<readonly [number, number]>) | null;
}

/**
 * The disk as it was when a node began to keep old data. Methods fail by throwing `BlockError`, with EACCES for what
 * is not to be had any more.
 */
export interface SnapshotAccess<S> {
  preadv(node: BlockNode<S>, offset: number, data: Buffer): Pending;
  blockStatus(node: BlockNode<S>, offset: number, bytes: number): Answer<BlockStatus>;
  /** A range that is not going to be read any more. */
  pdiscard(node: BlockNode<S>, offset: number, bytes: number): Pending;
}

/** The problems that a check repairs: none, leaks (space that is lost), or also errors (data in danger). */
export type CheckRepair = 'none' | 'leaks' | 'all';

/** The outcome of a check of an image: the numbers of `qemu-img check --output=json`. */
export interface CheckResult {
  readonly checkErrors: number;
  readonly corruptions: number;
  readonly leaks: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
  /** Bytes from the start of the file to the end of the last cluster in use; 0 if the check did not get so far. */
  readonly imageEndOffset: number;
  /** Clusters of the guest's disk. */
  readonly totalClusters: number;
  /** Clusters of the guest's disk that have space in the file, those of the active tables alone. */
  readonly allocatedClusters: number;
  /** Allocated clusters that do not follow the one before them in the file; compressed ones never do. */
  readonly fragmentedClusters: number;
  readonly compressedClusters: number;
}

/** The future of a node in a reopen. Made by `block/open/reopen.ts`, filled by the driver's `reopenPrepare`. */
export interface ReopenState<S> {
  readonly node: BlockNode<S>;
  /** Bits of `Open` after the reopen. */
  readonly flags: number;
  /** The options for the driver; it takes (removes) those that it handles. */
  readonly options: Options;
  /** Whatever `reopenPrepare` wants to hand to `reopenCommit` or `reopenAbort`. */
  prepared: unknown;
}

/** The marks that a driver is found by: its name, the prefix of a file name, the beginning of an image. */
interface DriverIdentity {
  readonly formatName: string;
  /** The prefix of file names (`nbd:`) and the mark of a protocol driver. */
  readonly protocolName?: string;
  /** Other prefixes that mean this protocol (`nbd+unix:`). */
  readonly otherPrefixes?: readonly string[];
  /** A protocol that needs a file name (or its options) to open. */
  readonly needsFilename?: boolean;

  /** 0 to 100: how surely `head` (up to 2,048 bytes of the image) is this format. Default 0. */
  probe?(head: Uint8Array, filename: string): number;
  /** For protocol drivers: 0 to 100, whether a file name without a prefix is theirs (host devices). */
  probeDevice?(filename: string): number;
  /** Turns a file name with the driver's prefix into options. */
  parseFilename?(filename: string, options: Options): void;
}

/** A driver that is loaded with the first image that needs it, so that the program starts without it. */
export interface LazyDriver extends DriverIdentity {
  load(): Promise<Driver>;
}

/** A driver as a `DriverTable` holds it. */
export type RegisteredDriver = Driver | LazyDriver;

/** A driver: what it is, and its methods. `S` is the state that it keeps in each of its nodes. */
export interface Driver<S = unknown> extends DriverIdentity {
  readonly isFilter?: boolean;
  readonly isFormat?: boolean;
  readonly supportsBacking?: boolean;
  /** The length may change under us: ask `getLength` each time. */
  readonly hasVariableLength?: boolean;
  /** Options that may change in a reopen. */
  readonly mutableOptions?: readonly string[];
  /** Options that tell one image from another (a trailing dot: every option under that prefix). */
  readonly strongOptions?: readonly string[];

  /** The options of new images, in the order in which `create` says them. Default: none can be made. */
  createOptions?(): Promise<readonly CreateOption[]>;
  /** Makes an image (a format) or its file (a protocol). */
  create?(context: GraphContext, filename: string, values: CreateValues): Promise<void>;
  /** For protocols: deletes a file. Failures do not count. */
  deleteFile?(filename: string): Promise<void>;

  /** Default: images of this format have no snapshots within. */
  readonly snapshots?: SnapshotMethods<S>;

  /** Opens the node: takes its options out of `options`, opens children through `openChild`, sets `node.state`. */
  open(node: BlockNode<S>, options: Options, flags: number): Promise<void>;
  /** Gives everything back. The node has no request in flight. Children are closed by the block layer afterwards. */
  close?(node: BlockNode<S>): Promise<void>;

  /**
   * Called when the node is to be quiet (`aio_flush`, a reopen) or closed, before its requests are waited for: what was
   * put off until then, and what they wait for. Does not fail.
   */
  drainBegin?(node: BlockNode<S>): Pending;
  /**
   * Called when that is over, unless the node was closed. A driver that has this holds requests back until its
   * `drainBegin`, which then does not wait.
   */
  drainEnd?(node: BlockNode<S>): void;

  /**
   * Fills up the options of a reopen with old ones (`old`, a copy that may be changed). Default: those that are not
   * given.
   */
  joinOptions?(options: Options, old: Options): void;
  reopenPrepare?(state: ReopenState<S>): Promise<void>;
  reopenCommit?(state: ReopenState<S>): void;
  reopenAbort?(state: ReopenState<S>): void;
  /** Called when a reopen is done, for all nodes. Does not fail any more. */
  afterReopen?(node: BlockNode<S>): Promise<void>;

  /** The length in bytes now. Default for filters: the child's; otherwise `node.totalSectors` is trusted. */
  getLength?(node: BlockNode<S>): number;
  /** Whether there is a medium to read. Default: if every child has one. */
  isInserted?(node: BlockNode<S>): boolean;
  /** Sets `node.limits` beyond what was merged from the children. */
  refreshLimits?(node: BlockNode<S>): void;
  /** Whether a child, other than the backing file, is part of the `json:{}` name. Default: each is. */
  namesChild?(name: string): boolean;
  /** Sets `node.exactFilename` (empty: only `json:{}` can say it). */
  refreshFilename?(node: BlockNode<S>): void;
  /**
   * The folder of the image, with a slash at its end, where relative names of backing files begin. Default: that of the
   * child that holds the image, or of `exactFilename`. Throws EINVAL if there is none.
   */
  folder?(node: BlockNode<S>): string;
  /** Permissions that this node needs on a child and shares with others, from those that its parents have. */
  childPermissions?(
    node: BlockNode<S>,
    child: ChildLink,
    role: number,
    perm: number,
    shared: number,
  ): { perm: number; shared: number };
  /** Can this node be used with these permissions? Throws if not (locks). Undone by `abortPermissions`. */
  checkPermissions?(node: BlockNode<S>, perm: number, shared: number): void;
  setPermissions?(node: BlockNode<S>, perm: number, shared: number): void;
  abortPermissions?(node: BlockNode<S>): void;

  /** Fills all of `data`. */
  preadv?(node: BlockNode<S>, offset: number, data: Buffer, flags: number): Pending;
  pwritev?(node: BlockNode<S>, offset: number, data: Buffer, flags: number): Pending;
  pwritevCompressed?(node: BlockNode<S>, offset: number, data: Buffer): Pending;
  /** ENOTSUP asks for a write of zeroes instead. */
  pwriteZeroes?(node: BlockNode<S>, offset: number, bytes: number, flags: number): Pending;
  /** ENOTSUP counts as done: a discard is a hint. */
  pdiscard?(node: BlockNode<S>, offset: number, bytes: number): Pending;
  /** Does all of a flush, with the children that it concerns, in the place of the steps below. Fires no event. */
  flush?(node: BlockNode<S>): Pending;
  /** Writes what the driver itself has cached. */
  flushToOs?(node: BlockNode<S>): Pending;
  /** Makes the host put on stable storage what it has cached. */
  flushToDisk?(node: BlockNode<S>): Pending;
  /** Gives back all that the image itself holds, so that its backing file shows through. ENOTSUP if it cannot. */
  makeEmpty?(node: BlockNode<S>): Pending;
  truncate?(node: BlockNode<S>, bytes: number, options: TruncateOptions): Pending;
  /** Default: all data, allocated; a filter: as the child says. */
  blockStatus?(node: BlockNode<S>, wantZero: boolean, offset: number, bytes: number): Answer<BlockStatus>;
  saveVmState?(node: BlockNode<S>, offset: number, data: Buffer): Pending;
  loadVmState?(node: BlockNode<S>, offset: number, data: Buffer): Pending;

  /** The file of the host that the node has open, as stat(2) tells of it. Default: it has none. */
  hostFile?(node: BlockNode<S>): { readonly dev: number; readonly ino: number };

  /** The space in bytes that the node takes on the host; a file with holes counts without them. */
  getAllocatedBytes?(node: BlockNode<S>): number;

  /**
   * Checks the metadata of the image, and repairs it; each problem is a line on the context's `warn`. Throws BlockError
   * if the check cannot go on. The result is right for an image without requests in flight or dirty caches, opened with
   * `Open.CHECK` so that damage does not keep it from being opened. `checkTwice` of `block/image-check.ts` does all
   * that `qemu-img check` does. Default: there is nothing to check (ENOTSUP).
   */
  check?(node: BlockNode<S>, options: { readonly repair: CheckRepair }): Answer<CheckResult>;

  getInfo?(node: BlockNode<S>): DriverInfo;
  getSpecificInfo?(node: BlockNode<S>): Promise<SpecificInfo | null>;

  /** The dirty bitmap of this name. Default: the node has none. */
  dirtyBitmap?(node: BlockNode<S>, name: string): DirtyBitmap | null;
  /** Default: the node keeps no old data. */
  readonly snapshotAccess?: SnapshotAccess<S>;

  /** Called for every event fired on this node. A promise only if the request has to wait. */
  debugEvent?(node: BlockNode<S>, event: DebugEvent): Pending;
  /** Breakpoints and rules of the node. Default: it has none. */
  debugPort?(node: BlockNode<S>): DebugPort;

  /**
   * Fills `data` as `preadv` does, for `block/request/peek.ts`: nothing may come of it but the bytes. Default for
   * filters: the child's; else the node cannot be looked at so.
   */
  peek?(node: BlockNode<S>, offset: number, data: Buffer): Pending;
  /** The metadata of the node, for commands that show it. Default: it has none. */
  inspector?(node: BlockNode<S>): Promise<Inspector>;
}
