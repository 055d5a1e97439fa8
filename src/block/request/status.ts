/** Block status: what a range is (data, zero, allocated here or in a backing file) and where it lies. */
import { assert } from '../../util/assert.ts';
import { alignUp } from '../../util/align.ts';
import { type Answer, isPromise, run, type Steps } from '../../util/steps.ts';
import type { BlockStatus } from '../driver.ts';
import { BlockError } from '../error.ts';
import { Status } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkOpen } from './check.ts';

const END: Omit<BlockStatus, 'flags'> = { bytes: 0, map: 0, file: null };

/**
 * The care that an answer is made with: an exact one; one that tells zeroes as far as the driver knows of them; or only
 * whether the range is allocated, where the driver may look less and say more bytes.
 */
type Care = 'exact' | 'zeroes' | 'allocation';

/**
 * The state of a range of one node, without its backing file.
 *
 * `wantZero` asks for an exact answer; without it the driver may look less and say more bytes. The result covers at
 * least one byte, except at and behind the end: then `bytes` is 0 and the flags are EOF.
 */
export function blockStatus(node: BlockNode, wantZero: boolean, offset: number, bytes: number): Answer<BlockStatus> {
  return run(statusOf(node, wantZero ? 'exact' : 'allocation', offset, bytes));
}

function* statusOf(node: BlockNode, care: Care, offset: number, bytes: number): Steps<BlockStatus> {
  checkOpen(node);
  const length = node.getLength();
  if (offset >= length) return { ...END, flags: Status.EOF };
  if (bytes === 0) return { ...END, flags: 0 };
  const wanted = Math.min(bytes, length - offset);

  let status: BlockStatus;
  node.inFlight += 1;
  try {
    // The driver is asked for the range rounded out to the node's alignment; its answer is cut back again.
    const align = node.limits.requestAlignment;
    const skip = offset % align;
    const asking = askDriver(node, care, offset - skip, alignUp(skip + wanted, align));
    const own: BlockStatus = isPromise(asking) ? yield asking : asking;
    const { file } = own;
    const found = Math.min(own.bytes - skip, wanted);
    const map = (own.flags & Status.OFFSET_VALID) !== 0 ? own.map + skip : own.map;
    if ((own.flags & Status.RAW) !== 0) {
      assert(file !== null, 'a driver that says RAW names a node');
      status = yield* statusOf(file, care, map, found);
    } else {
      status = { flags: withAllocation(node, care, offset, own.flags), bytes: found, map, file };
      if (care === 'exact' && (status.flags & REFINED) === MAY_REFINE && file !== null && file !== node) {
        status = yield* refine(status, file);
      }
    }
  } finally {
    node.inFlight -= 1;
  }
  if (offset + status.bytes !== length) return status;
  return { flags: status.flags | Status.EOF, bytes: status.bytes, map: status.map, file: status.file };
}

/** Data that lies in the node below, which may know of zeroes there. */
const MAY_REFINE = Status.RECURSE | Status.DATA | Status.OFFSET_VALID;
const REFINED = MAY_REFINE | Status.ZERO;

/** Asks the driver; of a node without children what it said last of data is remembered. */
function askDriver(node: BlockNode, care: Care, offset: number, bytes: number): Answer<BlockStatus> {
  const { driver } = node;
  const wantZero = care !== 'allocation';
  if (driver.blockStatus === undefined) {
    const isProtocol = driver.protocolName !== undefined;
    const flags = Status.DATA | (isProtocol ? Status.OFFSET_VALID : 0);
    return { flags, bytes, map: isProtocol ? offset : 0, file: isProtocol ? node : null };
  }
  if (node.children.length > 0) return driver.blockStatus(node, wantZero, offset, bytes);
  if (isKnownData(node, offset)) {
    const flags = Status.DATA | Status.OFFSET_VALID;
    return { flags, bytes: node.dataRangeEnd - offset, map: offset, file: node };
  }
  return run(askAndRemember(node, care, offset, driver.blockStatus(node, wantZero, offset, bytes)));
}

function* askAndRemember(node: BlockNode, care: Care, offset: number, answer: Answer<BlockStatus>): Steps<BlockStatus> {
  const status: BlockStatus = yield answer;
  if (care === 'exact' && status.flags === (Status.DATA | Status.OFFSET_VALID)) {
    node.dataRangeStart = offset;
    node.dataRangeEnd = offset + status.bytes;
  }
  return status;
}

/** The flags of a driver's answer, with what follows from having data or zeroes, or no backing file. */
function withAllocation(node: BlockNode, care: Care, offset: number, flags: number): number {
  if ((flags & (Status.DATA | Status.ZERO)) !== 0) return flags | Status.ALLOCATED;
  if (node.driver.supportsBacking !== true) return flags;
  const backing = node.cowChild;
  return backing === null || (care === 'exact' && offset >= backing.node.getLength()) ? flags | Status.ZERO : flags;
}

/** Refines data by the answer of the node below: there may be zeroes behind it. */
function* refine(own: BlockStatus, file: BlockNode): Steps<BlockStatus> {
  const { flags, bytes, map } = own;
  try {
    const below = yield* statusOf(file, 'exact', map, bytes);
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

/** Which part of a chain of backing files is asked, and how exactly. */
export interface ChainQuery {
  /** Where the search ends; null for the whole chain. */
  readonly base: BlockNode | null;
  /** `base` itself is asked, too. */
  readonly includeBase: boolean;
  /** As for `blockStatus`. */
  readonly wantZero: boolean;
}

/** The state of a range looked up from `top` down to the query's base. */
export function blockStatusAbove(
  top: BlockNode,
  query: ChainQuery,
  offset: number,
  bytes: number,
): Answer<ChainStatus> {
  return run(statusAbove(top, query, query.wantZero ? 'exact' : 'allocation', offset, bytes));
}

function* statusAbove(
  top: BlockNode,
  { base, includeBase }: Omit<ChainQuery, 'wantZero'>,
  care: Care,
  offset: number,
  bytes: number,
): Steps<ChainStatus> {
  let depth = 0;
  let status: BlockStatus = { flags: 0, bytes, map: 0, file: null };
  let endOfTop = 0;
  let node: BlockNode | null = top;
  while (node !== null && (includeBase || node !== base)) {
    const wanted = status.bytes;
    status = yield* statusOf(node, care, offset, wanted);
    depth += 1;
    if (depth === 1) {
      // At and behind the end of the top there is nothing, whatever lies below.
      if (status.bytes === 0) break;
      if ((status.flags & Status.EOF) !== 0) endOfTop = offset + status.bytes;
    } else if (status.bytes === 0) {
      // A short backing file: what lies behind its end is zero, as if it were allocated there.
      status = { ...status, flags: Status.ZERO | Status.ALLOCATED, bytes: wanted, file: node };
      break;
    }
    if ((status.flags & Status.ALLOCATED) !== 0) {
      if (depth > 1) status = { ...status, flags: status.flags & ~Status.EOF };
      break;
    }
    if (node === base) break;
    node = node.filterOrCowChild?.node ?? null;
  }
  const isEnd = depth > 1 && offset + status.bytes === endOfTop;
  const { flags, bytes: found, map, file } = status;
  // Field by field: spreading costs more than the rest, and each new cluster asks twice.
  return { flags: isEnd ? flags | Status.EOF : flags, bytes: found, map, file, depth };
}

/** Whether a range is allocated, and for how many bytes from its beginning that holds. */
export interface AllocationRun {
  readonly allocated: boolean;
  readonly bytes: number;
}

/** Whether the node itself (not its backing file) has a range. */
export function isAllocated(node: BlockNode, offset: number, bytes: number): Answer<AllocationRun> {
  return run(allocationOf(node, offset, bytes));
}

function* allocationOf(node: BlockNode, offset: number, bytes: number): Steps<AllocationRun> {
  const status = yield* statusAbove(node, { base: node, includeBase: true }, 'allocation', offset, bytes);
  return { allocated: (status.flags & Status.ALLOCATED) !== 0, bytes: status.bytes };
}

/** Whether every byte of the range is allocated in this node. */
export function isAllocatedWhole(node: BlockNode, offset: number, bytes: number): Answer<boolean> {
  return run(isWhole(node, offset, bytes));
}

function* isWhole(node: BlockNode, offset: number, bytes: number): Steps<boolean> {
  const own = yield* allocationOf(node, offset, bytes);
  return own.allocated && own.bytes === bytes;
}

const wholeChain = { base: null, includeBase: false } as const;

/** True if a quick look proves that the whole range reads as zeroes through the chain; false if that is not known. */
export function isZeroFast(node: BlockNode, offset: number, bytes: number): Answer<boolean> {
  if (bytes === 0) return true;
  // In 7.2 the host is not asked for holes, and the range must be of one kind.
  return run(
    node.context.compat.has('looksForZeroes') ? areZeroes(node, offset, bytes) : isZeroRun(node, offset, bytes),
  );
}

function* isZeroRun(node: BlockNode, offset: number, bytes: number): Steps<boolean> {
  const status = yield* statusAbove(node, wholeChain, 'allocation', offset, bytes);
  return status.bytes === bytes && (status.flags & Status.ZERO) !== 0;
}

function* areZeroes(node: BlockNode, offset: number, bytes: number): Steps<boolean> {
  for (let done = 0; done < bytes; ) {
    const status = yield* statusAbove(node, wholeChain, 'zeroes', offset + done, bytes - done);
    if ((status.flags & Status.ZERO) === 0) return false;
    done += status.bytes;
  }
  return true;
}
