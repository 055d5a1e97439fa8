/** compress: a filter that turns every write into a compressed one. */
import { BlockError } from '../../block/error.ts';
import { Req } from '../../block/flags.ts';
import { fileOf } from '../../block/graph/node.ts';
import { openFileChild } from '../../block/open/open.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { driverInfo } from '../../block/request/info.ts';
import { pwritev } from '../../block/request/write.ts';
import { Errno } from '../../util/errno.ts';
import { defineFilter } from '../../block/request/filter.ts';

export const compress = defineFilter<null>({
  formatName: 'compress',
  hasVariableLength: true,
  childPermissions: defaultPermissions,

  async open(node, options) {
    const { node: file } = await openFileChild(node, options, 'file');
    if (file.driver.pwritevCompressed === undefined) {
      throw new BlockError(
        Errno.ENOTSUP,
        `Compression is not supported for underlying format: ${file.driver.formatName}`,
      );
    }
    node.state = null;
    node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & file.supportedWriteFlags);
    node.supportedZeroFlags =
      Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & file.supportedZeroFlags);
  },

  /** Whole clusters: a compressed write of a part would have to be merged with what is there. */
  refreshLimits(node) {
    if (node.file === null) return;
    try {
      const { clusterBytes } = driverInfo(node.file.node);
      if (clusterBytes > 0) node.limits.requestAlignment = clusterBytes;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
    }
  },

  pwritev: (node, offset, data, flags) => pwritev(fileOf(node), offset, data, flags | Req.WRITE_COMPRESSED),
});
