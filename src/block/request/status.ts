/** Block status: what a range is (data, zero, allocated here or in a backing file) and where it lies. */
import { alignDown, alignUp } from '../../util/align.ts';
import { andThen, type Answer, lastly } from '../../util/answer.ts';
import { Errno } from '../../util/errno.ts';
import type { BlockStatus } from '../driver.ts';
import { BlockError } from '../error.ts';
import { Status } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';

const END: Omit<BlockStatus, 'flags'> = { bytes: 0, map: 0, file: null };

/**
 * The state of a range of one node, without its backing file.
 *
 * `wantZero` asks for an exact answer; without it the driver may look less and say more bytes. The result covers at
 * least one byte, except at and behind the end: then `bytes` is 0 and the flags are EOF.
 */
export function blockStatus(node: BlockNode, wantZero: boolean, offset: number, bytes: number): Answer<BlockStatus> {
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM);
  const length = node.getLength();
  if (offset >= length) return { ...END, flags: Status.EOF };
  if (bytes === 0) return { ...END, flags: 0 };
  const wanted = Math.min(bytes, length - offset);

  const { driver } = node;
  if (driver.blockStatus === undefined && node.filteredChild === null) {
    const isProtocol = driver.protocolName !== undefined;
    return withEof(length, offset, {
      flags: Status.DATA | Status.ALLOCATED | (isProtocol ? Status.OFFSET_VALID : 0),
      bytes: wanted,
      map: isProtocol ? offset : 0,
      file: isProtocol ? node : null,
    });
  }
  node.inFlight += 1;
  const asking = lastly(
    () => andThen(askDriver(node, wantZero, offset, wanted), (raw) => resolve(node, wantZero, offset, raw)),
    () => {
      node.inFlight -= 1;
    },
  );
  return andThen(asking, (status) => withEof(length, offset, status));
}

function withEof(length: number, offset: number, status: BlockStatus): BlockStatus {
  const { flags, bytes, map, file } = status;
  return offset + bytes === length ? { flags: flags | Status.EOF, bytes, map, file } : status;
}

/** The driver's own answer, for the range rounded out to the node's alignment and cut back again. */
function askDriver(node: BlockNode, wantZero: boolean, offset: number, bytes: number): Answer<BlockStatus> {
  const align = node.limits.requestAlignment;
  const alignedOffset = alignDown(offset, align);
  const alignedBytes = alignUp(offset + bytes, align) - alignedOffset;
  return andThen(askAligned(node, wantZero, alignedOffset, alignedBytes), (status) => {
    const skip = offset - alignedOffset;
    return {
      flags: status.flags,
      bytes: Math.min(status.bytes - skip, bytes),
      map: (status.flags & Status.OFFSET_VALID) !== 0 ? status.map + skip : status.map,
      file: status.file,
    };
  });
}

function askAligned(node: BlockNode, wantZero: boolean, offset: number, bytes: number): Answer<BlockStatus> {
  const { driver } = node;
  if (driver.blockStatus === undefined) {
    const flags = Status.RAW | Status.OFFSET_VALID;
    return { flags, bytes, map: offset, file: node.filteredChild?.node ?? null };
  }
  if (node.children.length > 0) return driver.blockStatus(node, wantZero, offset, bytes);
  const dataFlags = Status.DATA | Status.OFFSET_VALID;
  if (isKnownData(node, offset)) {
    return { flags: dataFlags, bytes: node.dataRangeEnd - offset, map: offset, file: node };
  }
  return andThen(driver.blockStatus(node, wantZero, offset, bytes), (status) => {
    if (wantZero && status.flags === dataFlags) {
      node.dataRangeStart = offset;
      node.dataRangeEnd = offset + status.bytes;
    }
    return status;
  });
}

/** Follows RAW and RECURSE to the node below, and adds what follows from having or not having a backing file. */
function resolve(node: BlockNode, wantZero: boolean, offset: number, status: BlockStatus): Answer<BlockStatus> {
  const { file, map, bytes } = status;
  if ((status.flags & Status.RAW) !== 0) {
    if (file === null) throw new Error('a driver said RAW without a node');
    return blockStatus(file, wantZero, map, bytes);
  }
  let { flags } = status;
  if ((flags & (Status.DATA | Status.ZERO)) !== 0) {
    flags |= Status.ALLOCATED;
  } else if (node.driver.supportsBacking === true) {
    const backing = node.cowChild;
    if (backing === null || (wantZero && offset >= backing.node.getLength())) flags |= Status.ZERO;
  }

  const mayRecurse = Status.RECURSE | Status.DATA | Status.OFFSET_VALID;
  const recurses = (flags & (mayRecurse | Status.ZERO)) === mayRecurse;
  const own = { flags, bytes, map, file };
  return wantZero && recurses && file !== null && file !== node ? refine(own, file) : own;
}

/** What the node below knows of data: there may be zeroes behind it. */
async function refine(own: BlockStatus, file: BlockNode): Promise<BlockStatus> {
  const { flags, bytes, map } = own;
  try {
    const below = await blockStatus(file, true, map, bytes);
    const isBehindEnd = (below.flags & Status.EOF) !== 0 && (below.bytes === 0 || (below.flags & Status.ZERO) !== 0);
    // A format may map what lies behind the end of its file; that reads as zeroes.
    if (isBehindEnd) return { flags: flags | Status.ZERO, bytes, map, file };
    return { flags: flags | (below.flags & Status.ZERO), bytes: below.bytes, map, file };
  } catch (error) {
    // The answer of the node below only refines ours.
    if (!(error instanceof BlockError)) throw error;
    return own;
  }
}

function isKnownData(node: BlockNode, offset: number): boolean {
  return offset >= node.dataRangeStart && offset < node.dataRangeEnd;
}

/** Drops the remembered range of data if this one overlaps it: it may be a hole soon. */
export function forgetDataRange(node: BlockNode, offset: number, bytes: number): void {
  if (offset < node.dataRangeEnd && offset + bytes > node.dataRangeStart) {
    node.dataRangeStart = 0;
    node.dataRangeEnd = 0;
  }
}

/** A range's state through a chain of backing files, and how deep in the chain it was found (1: the top). */
export interface ChainStatus extends BlockStatus {
  readonly depth: number;
}

/**
 * The state of a range looked up from `top` down to `base`: excluded, unless `includeBase`; null means the whole chain.
 */
export function blockStatusAbove(
  top: BlockNode,
  base: BlockNode | null,
  includeBase: boolean,
  wantZero: boolean,
  offset: number,
  bytes: number,
): Answer<ChainStatus> {
  if (!includeBase && top === base) return { flags: 0, bytes, map: 0, file: null, depth: 0 };
  return andThen(blockStatus(top, wantZero, offset, bytes), (status) => {
    const isFound = status.bytes === 0 || (status.flags & Status.ALLOCATED) !== 0 || top === base;
    const below = isFound ? null : (top.filterOrCowChild?.node ?? null);
    if (below === null || (!includeBase && below === base)) return inChain(status, status.flags, 1);
    return statusBelow(status, below, base, includeBase, wantZero, offset);
  });
}

/** Goes on below the top, which has nothing of its own at this offset for the bytes that `own` says. */
async function statusBelow(
  own: BlockStatus,
  below: BlockNode,
  base: BlockNode | null,
  includeBase: boolean,
  wantZero: boolean,
  offset: number,
): Promise<ChainStatus> {
  const endOfTop = (own.flags & Status.EOF) !== 0 ? offset + own.bytes : 0;
  let depth = 1;
  let status = own;
  let wanted = own.bytes;
  let node: BlockNode | null = below;
  while (node !== null && (includeBase || node !== base)) {
    status = await blockStatus(node, wantZero, offset, wanted);
    depth += 1;
    if (status.bytes === 0) {
      // A short backing file: what lies behind its end is zero, as if it were allocated there.
      status = { ...status, flags: Status.ZERO | Status.ALLOCATED, bytes: wanted, file: node };
      break;
    }
    if ((status.flags & Status.ALLOCATED) !== 0) {
      status = { ...status, flags: status.flags & ~Status.EOF };
      break;
    }
    if (node === base) break;
    wanted = status.bytes;
    node = node.filterOrCowChild?.node ?? null;
  }
  const flags = offset + status.bytes === endOfTop ? status.flags | Status.EOF : status.flags;
  return inChain(status, flags, depth);
}

/** Field by field: spreading the status takes ten times as long, and each new cluster asks twice. */
function inChain({ bytes, map, file }: BlockStatus, flags: number, depth: number): ChainStatus {
  return { flags, bytes, map, file, depth };
}

/** Whether the node itself (not its backing file) has the range, and for how many bytes that holds. */
export async function isAllocated(
  node: BlockNode,
  offset: number,
  bytes: number,
): Promise<{ allocated: boolean; bytes: number }> {
  const status = await blockStatusAbove(node, node, true, false, offset, bytes);
  return { allocated: (status.flags & Status.ALLOCATED) !== 0, bytes: status.bytes };
}

/** Whether the whole range is known, without much looking, to read as zeroes through the chain. */
export function isZeroFast(node: BlockNode, offset: number, bytes: number): Answer<boolean> {
  if (bytes === 0) return true;
  return andThen(
    blockStatusAbove(node, null, false, false, offset, bytes),
    (status) => status.bytes === bytes && (status.flags & Status.ZERO) !== 0,
  );
}
