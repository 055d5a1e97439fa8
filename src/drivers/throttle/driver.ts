/** throttle: a filter whose requests wait so that they keep the limits of a group. */
import { invalidArgument } from '../../block/error.ts';
import { Req } from '../../block/flags.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { openFileChild } from '../../block/open/open.ts';
import { absorbOptions, type Options } from '../../block/options/options.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import type { ThrottleGroup } from '../../block/throttle-limits.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { type Group, groupOf, type Member } from './group.ts';
import type { Direction } from './leaky-buckets.ts';

interface ThrottleState {
  group: Group;
  member: Member;
}

type ThrottleNode = BlockNode<ThrottleState>;

/** The driver itself. */
export const throttle = defineFilter<ThrottleState>({
  formatName: 'throttle',
  strongOptions: ['throttle-group'],
  childPermissions: defaultPermissions,

  async open(node, options) {
    const { node: file } = await openFileChild(node, options, 'file');
    node.supportedWriteFlags = file.supportedWriteFlags | Req.WRITE_UNCHANGED;
    node.supportedZeroFlags = file.supportedZeroFlags | Req.WRITE_UNCHANGED;
    node.state = join(node, takeGroup(node, options));
  },

  async close({ state }) {
    state.group.leave(state.member);
  },

  async reopenPrepare(reopen) {
    reopen.prepared = takeGroup(reopen.node, reopen.options);
  },
  reopenCommit({ node, prepared }) {
    const { state } = node;
    const group = groupOf(prepared as ThrottleGroup, node.loop);
    if (group === state.group) return;
    state.group.leave(state.member);
    node.state = join(node, prepared as ThrottleGroup);
  },

  drainBegin({ state }) {
    state.member.freeCount += 1;
    state.group.release(state.member);
    return undefined;
  },
  drainEnd({ state }) {
    state.member.freeCount -= 1;
  },

  preadv(node, offset, data, flags) {
    return run(admitted(node, 'read', data.length, () => preadv(fileOf(node), offset, data, flags)));
  },
  pwritev(node, offset, data, flags) {
    return run(admitted(node, 'write', data.length, () => pwritev(fileOf(node), offset, data, flags)));
  },
  pwritevCompressed(node, offset, data) {
    const write = () => pwritev(fileOf(node), offset, data, Req.WRITE_COMPRESSED);
    return run(admitted(node, 'write', data.length, write));
  },
  pwriteZeroes(node, offset, bytes, flags) {
    return run(admitted(node, 'write', bytes, () => pwriteZeroes(fileOf(node), offset, bytes, flags)));
  },
  pdiscard(node, offset, bytes) {
    return run(admitted(node, 'write', bytes, () => pdiscard(fileOf(node), offset, bytes)));
  },
  flush: (node) => flush(fileOf(node).node),
});

function* admitted(node: ThrottleNode, direction: Direction, bytes: number, request: () => Pending): Steps<void> {
  const { group, member } = node.state;
  yield* group.admit(member, direction, bytes);
  yield request();
}

function takeGroup({ context }: ThrottleNode, options: Options): ThrottleGroup {
  const name = absorbOptions(options, { 'throttle-group': 'string' })['throttle-group'];
  if (name === undefined) throw invalidArgument('Please specify a throttle group');
  const object = context.objects.get(name);
  if (object?.kind !== 'throttle-group') throw invalidArgument(`Throttle group '${name}' does not exist`);
  return object;
}

function join({ loop }: ThrottleNode, settings: ThrottleGroup): ThrottleState {
  const group = groupOf(settings, loop);
  return { group, member: group.join() };
}
