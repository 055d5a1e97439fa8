/**
 * blkverify: a filter that does everything to an image and to a raw copy of it, and ends the program when they differ.
 * Found by `name.ts`.
 */
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Req, Role } from '../../block/flags.ts';
import { type BlockNode, type ChildLink, fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { sideBySide } from '../../block/loop/side-by-side.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import { absorbOptions } from '../../block/options/options.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';

interface BlkverifyState {
  /** The image under test. The raw copy is `file`. */
  readonly test: ChildLink;
}

type BlkverifyNode = BlockNode<BlkverifyState>;

/** A name that would be longer is none. */
const FILENAME_BYTES_MAX = 4095;

/** The driver itself. */
export const blkverify = defineFilter<BlkverifyState>(
  {
    formatName: 'blkverify',
    protocolName: 'blkverify',
    childPermissions: defaultPermissions,

    async open(node, options) {
      const names = absorbOptions(options, { 'x-raw': 'string', 'x-image': 'string' });
      await openFileChild(node, options, 'raw', names['x-raw']);
      const test = await openChild(node, options, 'test', Role.DATA, { filename: names['x-image'] });
      node.supportedWriteFlags = Req.WRITE_UNCHANGED;
      node.supportedZeroFlags = Req.WRITE_UNCHANGED;
      node.state = { test };
    },

    refreshFilename(node) {
      const raw = fileOf(node).node.exactFilename;
      const test = node.state.test.node.exactFilename;
      if (raw === '' || test === '') return;
      const filename = `blkverify:${raw}:${test}`;
      if (Buffer.byteLength(filename) <= FILENAME_BYTES_MAX) node.exactFilename = filename;
    },

    folder() {
      throw invalidArgument('Cannot generate a base directory for blkverify nodes');
    },

    getLength: ({ state }) => state.test.node.getLength(),
    preadv: (node, offset, data, flags) => run(readBoth(node, offset, data, flags)),

    pwritev(node, offset, data, flags) {
      const write = (child: ChildLink) => () => pwritev(child, offset, data, flags);
      return run(both(node, { isWrite: true, offset, bytes: data.length }, write));
    },

    /** The raw copy is of no importance. */
    flush: ({ state }) => flush(state.test.node),
  },
  ['pwriteZeroes', 'pdiscard'],
);

interface Verified {
  readonly isWrite: boolean;
  readonly offset: number;
  readonly bytes: number;
}

/** Does a request to both at the same time. Its errors have to be the same. */
function* both(node: BlkverifyNode, verified: Verified, request: (child: ChildLink) => () => Pending): Steps<void> {
  const { test } = node.state;
  const [ret = 0, rawRet = 0] = yield* sideBySide(node.loop, [request(test), request(fileOf(node))]);
  if (ret !== rawRet) complain(node, verified, `return value mismatch ${-ret} != ${-rawRet}`);
  if (ret !== 0) throw new BlockError(ret);
}

function* readBoth(node: BlkverifyNode, offset: number, data: Buffer, flags: number): Steps<void> {
  const verified = { isWrite: false, offset, bytes: data.length };
  const raw = node.context.allocate(data.length);
  const { test } = node.state;
  yield* both(node, verified, (child) => () => preadv(child, offset, child === test ? data : raw, flags));
  if (data.equals(raw)) return;
  const at = data.findIndex((byte, index) => byte !== raw[index]);
  complain(node, verified, `contents mismatch at offset ${offset + at}`);
}

function complain({ context }: BlkverifyNode, { isWrite, offset, bytes }: Verified, what: string): void {
  context.mismatch(`blkverify: ${isWrite ? 'write' : 'read'} offset=${offset} bytes=${bytes} ${what}`);
}
