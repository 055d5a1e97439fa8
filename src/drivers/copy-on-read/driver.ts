/** copy-on-read: a filter that writes to its image what reads find in the backing files. */
import { invalidArgument } from '../../block/error.ts';
import { Perm, Req } from '../../block/flags.ts';
import { backingBelow } from '../../block/graph/chain.ts';
import { findNode } from '../../block/graph/graph.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { absorbOptions } from '../../block/options/options.ts';
import { openFileChild } from '../../block/open/open.ts';
import { preadv } from '../../block/request/read.ts';
import { type AllocationRun, blockStatusAbove, type ChainStatus, isAllocated } from '../../block/request/status.ts';
import { pwritev } from '../../block/request/write.ts';
import { Status } from '../../block/flags.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { run, type Steps } from '../../util/steps.ts';

interface CopyOnReadState {
  /** The deepest node whose data is copied; null: the whole chain. */
  readonly bottom: BlockNode | null;
}

type CopyOnReadNode = BlockNode<CopyOnReadState>;

const PASSED_ON = Perm.CONSISTENT_READ | Perm.WRITE | Perm.RESIZE;

function findBottom(node: CopyOnReadNode, name: string | undefined): BlockNode | null {
  if (name === undefined) return null;
  const bottom = findNode(node.context, name);
  if (bottom === null) throw invalidArgument(`Bottom node '${name}' not found`);
  if (bottom.driver.isFilter === true) throw invalidArgument(`Bottom node '${name}' is a filter`);
  return bottom;
}

/** Reads piece by piece, copying only what lies in the image's chain no deeper than `bottom`. */
function* readAbove(node: CopyOnReadNode, bottom: BlockNode, offset: number, data: Buffer, flags: number): Steps<void> {
  const file = fileOf(node);
  for (let done = 0; done < data.length; ) {
    const position = offset + done;
    let pieceFlags = flags;
    let bytes = data.length - done;
    const own: AllocationRun = yield isAllocated(file.node, position, bytes);
    bytes = own.bytes;
    if (!own.allocated) {
      const backing = backingBelow(file.node);
      if (backing !== null) {
        const above: ChainStatus = yield blockStatusAbove(
          backing,
          { base: bottom, includeBase: true, wantZero: false },
          position,
          bytes,
        );
        bytes = above.bytes;
        if ((above.flags & Status.ALLOCATED) !== 0) pieceFlags |= Req.COPY_ON_READ;
      }
      // The end of a backing file.
      if (bytes === 0) break;
    }
    if ((pieceFlags & (Req.PREFETCH | Req.COPY_ON_READ)) !== Req.PREFETCH) {
      yield preadv(file, position, data.subarray(done, done + bytes), pieceFlags);
    }
    done += bytes;
  }
}

export const copyOnReadFilter = defineFilter<CopyOnReadState>({
  formatName: 'copy-on-read',
  hasVariableLength: true,

  async open(node, options) {
    const { bottom } = absorbOptions(options, { bottom: 'string' });
    const { node: file } = await openFileChild(node, options, 'file');
    node.supportedReadFlags = Req.PREFETCH;
    node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & file.supportedWriteFlags);
    node.supportedZeroFlags =
      Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & file.supportedZeroFlags);
    node.state = { bottom: findBottom(node, bottom) };
  },

  /** Reads become writes that change nothing, whatever the parents may do. */
  childPermissions(_node, _child, _role, perm, shared) {
    return {
      perm: (perm & PASSED_ON) | Perm.WRITE_UNCHANGED,
      shared: (shared & PASSED_ON) | (Perm.ALL & ~PASSED_ON),
    };
  },

  preadv(node, offset, data, flags) {
    const { bottom } = node.state;
    if (bottom === null) return preadv(fileOf(node), offset, data, flags | Req.COPY_ON_READ);
    return run(readAbove(node, bottom, offset, data, flags));
  },

  pwritevCompressed: (node, offset, data) => pwritev(fileOf(node), offset, data, Req.WRITE_COMPRESSED),
});
