/**
 * blklogwrites: a filter that writes down every change in a log, in the order in which they end. Linux's dm-log-writes
 * has the same format: its tools replay it.
 */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Role, SECTOR_BYTES } from '../../block/flags.ts';
import { type BlockNode, type ChildLink, fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import { absorbOptions } from '../../block/options/options.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { flush } from '../../block/request/flush.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { alignUp, isPowerOf2 } from '../../util/align.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { encodeSuper, HEAD_BYTES, LogFlag, putHead } from '../../util/log-heads.ts';
import { findLogEnd, type LogEnd } from './append.ts';

interface LogState {
  readonly log: ChildLink;
  readonly sectorBytes: number;
  /** The superblock is written after so many requests, and with each flush. */
  readonly updateInterval: number;
  /** Where the next request is written, in bytes. */
  end: number;
  entryCount: number;
}

type LogNode = BlockNode<LogState>;

const MAX_SECTOR_BYTES = 1 << 24;
const UPDATE_INTERVAL = 4096;

/** The driver itself. */
export const blklogwrites = defineFilter<LogState>({
  formatName: 'blklogwrites',
  strongOptions: ['log-append', 'log-sector-size'],
  childPermissions: defaultPermissions,

  async open(node, options) {
    const types = { 'log-append': 'bool', 'log-sector-size': 'size64', 'log-super-update-interval': 'number' } as const;
    const given = absorbOptions(options, types, node.context);
    const wanted = given['log-sector-size'];
    await openFileChild(node, options, 'file');
    const log = await openChild(node, options, 'log', Role.METADATA);
    let known: LogEnd | null = null;
    if (given['log-append'] === true) {
      if (wanted !== undefined) throw invalidArgument('log-append and log-sector-size are mutually exclusive');
      known = await run(findLogEnd(log, isSectorSize));
    }
    const sectorBytes =
      known?.sectorBytes ?? (wanted === undefined ? SECTOR_BYTES : Number(BigInt.asUintN(32, wanted)));
    if (!isSectorSize(sectorBytes)) throw invalidArgument(`Invalid log sector size ${wanted ?? sectorBytes}`);
    const updateInterval = given['log-super-update-interval'] ?? UPDATE_INTERVAL;
    if (updateInterval === 0) throw invalidArgument('Invalid log superblock update interval 0');
    const { end, entryCount } = known ?? { end: sectorBytes, entryCount: 0 };
    node.state = { log, sectorBytes, updateInterval, end, entryCount };
  },

  refreshLimits({ limits, state }) {
    limits.requestAlignment = state.sectorBytes;
  },

  pwritev(node, offset, data, flags) {
    const entry: Entry = { offset, bytes: data.length, flags: 0, data };
    return run(logged(node, entry, () => pwritev(fileOf(node), offset, data, flags)));
  },

  pwriteZeroes(node, offset, bytes, flags) {
    const entry: Entry = { offset, bytes, flags: 0, data: null };
    return run(logged(node, entry, () => pwriteZeroes(fileOf(node), offset, bytes, flags)));
  },

  pdiscard(node, offset, bytes) {
    const entry: Entry = { offset, bytes, flags: LogFlag.DISCARD, data: null };
    return run(logged(node, entry, () => pdiscard(fileOf(node), offset, bytes)));
  },

  flushToDisk(node) {
    const entry: Entry = { offset: 0, bytes: 0, flags: LogFlag.FLUSH, data: null };
    return run(logged(node, entry, () => flush(fileOf(node).node)));
  },
});

function isSectorSize(bytes: number): boolean {
  return isPowerOf2(bytes) && bytes >= HEAD_BYTES && bytes < MAX_SECTOR_BYTES;
}

/** A request as it is logged. */
interface Entry {
  readonly offset: number;
  readonly bytes: number;
  /** Bits of `LogFlag`. */
  readonly flags: number;
  /** Null for a request without data, and for zeroes. */
  readonly data: Buffer | null;
}

/** Does a request, and logs it whatever became of it. The log's error counts more. */
function* logged(node: LogNode, entry: Entry, request: () => Pending): Steps<void> {
  let failure: unknown;
  try {
    yield request();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
  }
  yield* append(node, entry);
  if (failure !== undefined) throw failure;
}

function* append({ state, context }: LogNode, { offset, bytes, flags, data }: Entry): Steps<void> {
  const { log, sectorBytes } = state;
  const block = context.allocate(sectorBytes + (data?.length ?? 0));
  putHead(block, offset / sectorBytes, bytes / sectorBytes, flags);
  data?.copy(block, sectorBytes);
  state.entryCount += 1;
  const at = state.end;
  state.end += alignUp(block.length, sectorBytes);
  yield pwritev(log, at, block, 0);
  if (data === null && bytes > 0 && flags === 0) {
    const zeroesAt = state.end;
    state.end += bytes;
    yield pwriteZeroes(log, zeroesAt, bytes, 0);
  }
  if ((flags & LogFlag.FLUSH) === 0 && state.entryCount % state.updateInterval !== 0) return;
  yield pwritev(log, 0, encodeSuper(state.entryCount, sectorBytes), 0);
  yield flush(log.node);
}
