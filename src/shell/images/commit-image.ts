/** The work of `commit`: run by run from the image into its backing file, which is open for writing meanwhile. */
import type { BlockBackend } from '../../block/backend.ts';
import { BlockError } from '../../block/error.ts';
import { Perm, Req, Status } from '../../block/flags.ts';
import { attachBackend, closeBackend } from '../../block/graph/graph.ts';
import type { BlockNode, ChildLink } from '../../block/graph/node.ts';
import { setBackendPermissions, setLinkPermissions } from '../../block/graph/permissions.ts';
import { inspectedNode } from '../../block/inspect.ts';
import { reopenNode } from '../../block/open/reopen.ts';
import { Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import type { SessionState } from '../session-state.ts';

const CHUNK_BYTES = 2 << 20;

/** Writes what the top image holds into its backing file, and empties it unless `keepsOverlay`. */
export async function commitImage(session: SessionState, keepsOverlay: boolean): Promise<void> {
  const { image } = session;
  const overlay = inspectedNode(session.top);
  const link = overlay.cowChild;
  if (link === null) throw new BlockError(Errno.EINVAL, 'Image does not have a backing file');
  if (image.inFlight > 0)
    throw new BlockError(Errno.EBUSY, 'a commit needs all requests to have ended; "requests" lists them');
  if (!keepsOverlay && overlay.isReadOnly) throw new BlockError(Errno.EROFS, 'the image is open read-only');
  const before = { perm: link.perm, shared: link.shared };
  const wasReadOnly = link.node.isReadOnly;
  await image.flush();
  // The image itself takes part: it lets the other writer in.
  setLinkPermissions(link, link.perm, Perm.ALL);
  try {
    if (wasReadOnly) await setReadOnly(link.node, false);
    try {
      await copyInto(session, overlay, link);
    } finally {
      if (wasReadOnly) await setReadOnly(link.node, true);
    }
  } finally {
    setLinkPermissions(link, before.perm, before.shared);
  }
  if (!keepsOverlay) await emptyOverlay(image, overlay);
}

function setReadOnly(node: BlockNode, isReadOnly: boolean): Promise<void> {
  return reopenNode(node, new Options([['read-only', isReadOnly]]), true);
}

async function copyInto(session: SessionState, overlay: BlockNode, link: ChildLink): Promise<void> {
  const perm = Perm.CONSISTENT_READ | Perm.WRITE | Perm.RESIZE;
  // The backend is one more user of the node.
  link.node.references += 1;
  const base = await attachBackend(link.node, perm, Perm.ALL);
  base.writeCacheEnabled = true;
  try {
    const length = overlay.getLength();
    if (base.getLength() < length) await base.truncate(length, { exact: false });
    for (let offset = 0; offset < length; ) {
      await session.loop.breathe();
      offset += await copyRun(session.image, base, overlay, offset, length - offset);
    }
    await base.flush();
  } finally {
    await closeBackend(base);
  }
}

/** Copies a run of one state; how long it was. */
async function copyRun(
  image: BlockBackend,
  base: BlockBackend,
  overlay: BlockNode,
  offset: number,
  rest: number,
): Promise<number> {
  const query = { base: overlay, includeBase: true, wantZero: true };
  const { flags, bytes } = await image.blockStatus(query, offset, rest);
  if (bytes === 0 || (flags & Status.ALLOCATED) === 0) return bytes === 0 ? rest : bytes;
  if ((flags & Status.ZERO) !== 0) {
    await base.pwriteZeroes(offset, bytes, Req.MAY_UNMAP);
    return bytes;
  }
  const data = Buffer.alloc(Math.min(bytes, CHUNK_BYTES));
  await image.pread(offset, data);
  await base.pwrite(offset, data, 0);
  return data.length;
}

async function emptyOverlay(image: BlockBackend, overlay: BlockNode): Promise<void> {
  if (overlay.driver.makeEmpty === undefined)
    throw new BlockError(Errno.ENOTSUP, `Could not empty ${overlay.filename}`);
  setBackendPermissions(image, image.root.perm | Perm.WRITE | Perm.RESIZE, image.root.shared);
  await run(image.drained('commit', () => overlay.driver.makeEmpty?.(overlay)));
  await image.flush();
}
