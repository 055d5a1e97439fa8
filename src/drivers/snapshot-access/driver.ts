/** snapshot-access: the disk as it was when the node below, a copy-before-write, began to keep old data. */
import type { SnapshotAccess } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Perm, Role } from '../../block/flags.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { openChild } from '../../block/open/open.ts';
import type { Driver } from '../../block/driver.ts';
import { Errno } from '../../util/errno.ts';

/** The driver itself. */
export const snapshotAccess: Driver<null> = {
  formatName: 'snapshot-access',

  async open(node, options) {
    const file = await openChild(node, options, 'file', Role.DATA | Role.PRIMARY);
    node.totalSectors = file.node.totalSectors;
    node.state = null;
  },

  /** The node below lets its snapshot be read without any. */
  childPermissions: () => ({ perm: 0, shared: Perm.ALL }),

  preadv: (node, offset, data) => accessOf(node).preadv(belowOf(node), offset, data),
  pwritev: refuseWrites,
  pwriteZeroes: refuseWrites,
  pdiscard: (node, offset, bytes) => accessOf(node).pdiscard(belowOf(node), offset, bytes),
  blockStatus: (node, _wantZero, offset, bytes) => accessOf(node).blockStatus(belowOf(node), offset, bytes),

  refreshFilename(node) {
    node.exactFilename = belowOf(node).filename;
  },
};

function belowOf(node: BlockNode<null>): BlockNode {
  return fileOf(node).node;
}

/** The old data that the node below keeps. ENOTSUP if it keeps none. */
function accessOf(node: BlockNode<null>): SnapshotAccess<unknown> {
  const { snapshotAccess: access } = belowOf(node).driver;
  if (access === undefined) throw new BlockError(Errno.ENOTSUP);
  return access;
}

function refuseWrites(): never {
  throw new BlockError(Errno.ENOTSUP);
}
