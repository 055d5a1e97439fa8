/**
 * blkdebug: a filter that injects errors by rules, suspends requests at events, and narrows the limits of its child.
 * Found by `name.ts`.
 */
import type { BlockStatus, TruncateOptions } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { Req, Status } from '../../block/flags.ts';
import { fileOf } from '../../block/graph/node.ts';
import { openFileChild } from '../../block/open/open.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { isAligned } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import { announceRuleChange } from './announce.ts';
import { BlkdebugPort } from './debug-port.ts';
import { refreshFilename, strongOptions } from './filename.ts';
import { applyLimits, noOverrides, parseLimits } from './limits.ts';
import { fireEvent, stepsInPlaceOf, stopAtCut } from './match.ts';
import { takePermissions, takeRules, takeSettings } from './options.ts';
import { RuleTable } from './rule-table.ts';
import { IoType } from './rules/condition.ts';
import { type BlkdebugNode, type BlkdebugState, NodeContext } from './state.ts';
import { Stops } from './stops.ts';
import { SuspendedRequests } from './suspended-requests.ts';
import { defineFilter } from '../../block/request/filter.ts';

/** Makes the file shorter once the request may go on. */
function* cutAfter(node: BlkdebugNode, stopped: Promise<void>, bytes: number, options: TruncateOptions): Steps<void> {
  yield stopped;
  yield truncate(fileOf(node), bytes, options);
}

/** The status is asked of the node below, unless a rule fails the question. */
function* statusOf(node: BlkdebugNode, offset: number, bytes: number): Steps<BlockStatus> {
  const steps = stepsInPlaceOf(node, IoType.BLOCK_STATUS, offset, bytes);
  if (steps !== null) yield* steps;
  return { flags: Status.RAW | Status.OFFSET_VALID, bytes, map: offset, file: fileOf(node).node };
}

/** The driver itself. */
export const blkdebug = defineFilter<BlkdebugState>({
  formatName: 'blkdebug',
  protocolName: 'blkdebug',
  strongOptions,

  refreshFilename,

  async open(node, options) {
    const settings = takeSettings(options, node.context);
    const configPath = settings.config ?? null;
    const rules = new RuleTable((change, rule) => announceRuleChange(node, change, rule));
    for (const rule of takeRules(configPath, options, node.context.compat)) rules.add(rule);
    const permissions = takePermissions(options);
    node.state = {
      configPath,
      rules,
      context: new NodeContext(node),
      suspended: new SuspendedRequests(),
      stops: new Stops(),
      hasDelays: true,
      permissions,
      limits: noOverrides,
    };

    const { node: image } = await openFileChild(node, options, 'image', settings['x-image']);
    node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & image.supportedWriteFlags);
    node.supportedZeroFlags =
      Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & image.supportedZeroFlags);
    node.state.limits = parseLimits(settings, image.limits.requestAlignment);
    await node.debugEvent(Event.NONE);
  },

  // Nothing to prepare: rules stay as they are, and the options that make them cannot change.
  async reopenPrepare() {},

  getLength: (node) => fileOf(node).node.getLength(),

  refreshLimits(node) {
    applyLimits(node.state.limits, node.limits);
  },

  childPermissions(node, child, role, perm, shared) {
    const needed = defaultPermissions(node, child, role, perm, shared);
    const { take, unshare } = node.state.permissions;
    return { perm: needed.perm | take, shared: needed.shared & ~unshare };
  },

  preadv(node, offset, data, flags) {
    const steps = stepsInPlaceOf(node, IoType.READ, offset, data.length, data, flags);
    return steps === null ? preadv(fileOf(node), offset, data, flags) : run(steps);
  },

  pwritev(node, offset, data, flags) {
    node.watch?.changes('write', offset, data.length);
    const steps = stepsInPlaceOf(node, IoType.WRITE, offset, data.length, data, flags);
    return steps === null ? pwritev(fileOf(node), offset, data, flags) : run(steps);
  },

  /**
   * Smaller pieces than the preferred alignment are left to the fallback, which thereby is tested. The same goes for
   * misaligned ones, which come after a fallback that max-transfer has cut; there QEMU aborts.
   */
  pwriteZeroes(node, offset, bytes, flags) {
    const align = Math.max(node.limits.requestAlignment, node.limits.pwriteZeroesAlignment);
    if (bytes < align || !isAligned(offset, align) || !isAligned(bytes, align)) throw new BlockError(Errno.ENOTSUP);
    node.watch?.changes('write', offset, bytes);
    const steps = stepsInPlaceOf(node, IoType.WRITE_ZEROES, offset, bytes, null, flags);
    return steps === null ? pwriteZeroes(fileOf(node), offset, bytes, flags) : run(steps);
  },

  /** Discards are limited alike; a part that is left out is just not discarded. */
  pdiscard(node, offset, bytes) {
    const { requestAlignment, pdiscardAlignment } = node.limits;
    const align = bytes >= pdiscardAlignment ? Math.max(requestAlignment, pdiscardAlignment) : requestAlignment;
    if (!isAligned(offset, align) || !isAligned(bytes, align)) throw new BlockError(Errno.ENOTSUP);
    node.watch?.changes('discard', offset, bytes);
    const steps = stepsInPlaceOf(node, IoType.DISCARD, offset, bytes);
    return steps === null ? pdiscard(fileOf(node), offset, bytes) : run(steps);
  },

  truncate(node, bytes, options) {
    const end = node.getLength();
    // What is made longer overwrites nothing.
    if (bytes >= end) return truncate(fileOf(node), bytes, options);
    node.watch?.changes('truncate', bytes, Number.MAX_SAFE_INTEGER - bytes);
    const stopped = stopAtCut(node, bytes, end);
    return stopped === undefined
      ? truncate(fileOf(node), bytes, options)
      : run(cutAfter(node, stopped, bytes, options));
  },

  flushToDisk(node) {
    const steps = stepsInPlaceOf(node, IoType.FLUSH, 0, 0);
    return steps === null ? flush(fileOf(node).node) : run(steps);
  },

  blockStatus: (node, _wantZero, offset, bytes) => run(statusOf(node, offset, bytes)),

  debugEvent: fireEvent,
  debugPort: (node) => new BlkdebugPort(node),
});
