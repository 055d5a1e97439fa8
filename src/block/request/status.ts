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
  return statusOf(node, wantZero ? 'exact' : 'allocation', offset, bytes);
}

function statusOf(node: BlockNode, care: Care, offset: number, bytes: number): Answer<BlockStatus> {
  checkOpen(node);
  const length = node.getLength();
  if (offset >= length) return { ...END, flags: Status.EOF };
  if (bytes === 0) return { ...END, flags: 0 };
  const wanted = Math.min(bytes, length - offset);
  // The driver is asked for the range rounded out to the node's alignment; its answer is cut back again.
  const align = node.limits.requestAlignment;
  const skip = offset % align;
  const told = askDriver(node, care, offset - skip, alignUp(skip + wanted, align));
  if (isPromise(told) || (told.flags & Status.RAW) !== 0 || refiningNode(node, care, told) !== null) {
    return run(statusInFlight(told, node, care, offset, wanted, length));
  }
  return withEnd(cutBack(told, node, care, offset, wanted), offset, length);
}

/** The rest of `statusOf` where the driver has yet to answer, or the node below is asked too. */
function* statusInFlight(
  answer: Answer<BlockStatus>,
  node: BlockNode,
  care: Care,
  offset: number,
  wanted: number,
  length: number,
): Steps<BlockStatus> {
  node.inFlight += 1;
  try {
    const told: BlockStatus = yield answer;
    const own = cutBack(told, node, care, offset, wanted);
    if ((told.flags & Status.RAW) !== 0) {
      assert(told.file !== null, 'a driver that says RAW names a node');
      return withEnd(yield statusOf(told.file, care, own.map, own.bytes), offset, length);
    }
    const below = refiningNode(node, care, told);
    return withEnd(below === null ? own : yield* refine(own, below), offset, length);
  } finally {
    node.inFlight -= 1;
  }
}

/** A driver's answer for a range that was rounded out, for the `wanted` bytes from `offset` on. */
function cutBack(told: BlockStatus, node: BlockNode, care: Care, offset: number, wanted: number): BlockStatus {
  const skip = offset % node.limits.requestAlignment;
  const map = (told.flags & Status.OFFSET_VALID) !== 0 ? told.map + skip : told.map;
  const flags = withAllocation(node, care, offset, told.flags);
  return { flags, bytes: Math.min(told.bytes - skip, wanted), map, file: told.file };
}

/** A status from `offset` on, with EOF if it reaches the end of its node, which has `length` bytes. */
function withEnd(status: BlockStatus, offset: number, length: number): BlockStatus {
  if (offset + status.bytes !== length) return status;
  return { flags: status.flags | Status.EOF, bytes: status.bytes, map: status.map, file: status.file };
}

/** Data that lies in the node below, which may know of zeroes there. */
const MAY_REFINE = Status.RECURSE | Status.DATA | Status.OFFSET_VALID;
const REFINED = MAY_REFINE | Status.ZERO;

/** The node below that an answer of `node` is refined by; null if it is as good as it gets. */
function refiningNode(node: BlockNode, care: Care, { flags, file }: BlockStatus): BlockNode | null {
  return care === 'exact' && (flags & REFINED) === MAY_REFINE && file !== node ? file : null;
}

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
    const below: BlockStatus = yield statusOf(file, 'exact', map, bytes);
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
  return statusAbove(top, query, query.wantZero ? 'exact' : 'allocation', offset, bytes);
}

/** Where in a chain a search ends. */
type ChainEnd = Omit<ChainQuery, 'wantZero'>;

function statusAbove(top: BlockNode, chain: ChainEnd, care: Care, offset: number, bytes: number): Answer<ChainStatus> {
  if (top === chain.base && !chain.includeBase) return { ...END, flags: 0, bytes, depth: 0 };
  const own = statusOf(top, care, offset, bytes);
  if (isPromise(own) || nextInChain(top, own, chain) !== null) return run(statusFurther(own, top, chain, care, offset));
  return atDepth(own, 1);
}

/** The node of a chain that is asked when `node` has given a status; null if the search ends with that. */
function nextInChain(
  node: BlockNode,
  { flags, bytes }: BlockStatus,
  { base, includeBase }: ChainEnd,
): BlockNode | null {
  // At and behind the end of a node there is nothing, whatever lies below.
  if (bytes === 0 || (flags & Status.ALLOCATED) !== 0 || node === base) return null;
  const below = node.filterOrCowChild?.node ?? null;
  return below === base && !includeBase ? null : below;
}

/** The rest of `statusAbove` where the top has yet to answer, or does not have the range. */
function* statusFurther(
  own: Answer<BlockStatus>,
  top: BlockNode,
  chain: ChainEnd,
  care: Care,
  offset: number,
): Steps<ChainStatus> {
  let status: BlockStatus = yield own;
  const endOfTop = (status.flags & Status.EOF) !== 0 ? offset + status.bytes : 0;
  let depth = 1;
  for (let node = nextInChain(top, status, chain); node !== null; node = nextInChain(node, status, chain)) {
    const wanted = status.bytes;
    status = yield statusOf(node, care, offset, wanted);
    depth += 1;
    if (status.bytes === 0) {
      // A short backing file: what lies behind its end is zero, as if it were allocated there.
      status = { ...status, flags: Status.ZERO | Status.ALLOCATED, bytes: wanted, file: node };
    } else if ((status.flags & Status.ALLOCATED) !== 0) {
      status = { ...status, flags: status.flags & ~Status.EOF };
    }
  }
  const isEnd = depth > 1 && offset + status.bytes === endOfTop;
  return atDepth(isEnd ? { ...status, flags: status.flags | Status.EOF } : status, depth);
}

function atDepth({ flags, bytes, map, file }: BlockStatus, depth: number): ChainStatus {
  return { flags, bytes, map, file, depth };
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
  const status: BlockStatus = yield statusAbove(node, { base: node, includeBase: true }, 'allocation', offset, bytes);
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
  if (node.context.compat.has('looksForZeroes')) return run(areZeroes(node, offset, bytes));
  // In 7.2 the host is not asked for holes, and the range must be of one kind.
  const status = statusAbove(node, wholeChain, 'allocation', offset, bytes);
  return isPromise(status) ? run(isZeroRunWhenTold(status, bytes)) : isZeroRun(status, bytes);
}

function isZeroRun(status: BlockStatus, bytes: number): boolean {
  return status.bytes === bytes && (status.flags & Status.ZERO) !== 0;
}

function* isZeroRunWhenTold(status: Promise<BlockStatus>, bytes: number): Steps<boolean> {
  return isZeroRun(yield status, bytes);
}

function* areZeroes(node: BlockNode, offset: number, bytes: number): Steps<boolean> {
  for (let done = 0; done < bytes; ) {
    const status: BlockStatus = yield statusAbove(node, wholeChain, 'zeroes', offset + done, bytes - done);
    if ((status.flags & Status.ZERO) === 0) return false;
    done += status.bytes;
  }
  return true;
}
