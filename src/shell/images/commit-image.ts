/** The work of `commit`: run by run from the image into its backing file, which is open for writing meanwhile. */
import path from 'node:path';
import type { BlockBackend } from '../../block/backend.ts';
import { BlockError } from '../../block/error.ts';
import { Perm, Req, Status } from '../../block/flags.ts';
import { attachBackend, closeBackend } from '../../block/graph/graph.ts';
import type { BlockNode, ChildLink } from '../../block/graph/node.ts';
import { setLinkPermissions } from '../../block/graph/permissions.ts';
import { inspectedNode } from '../../block/inspect.ts';
import { reopenNode } from '../../block/open/reopen.ts';
import { Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import type { SessionState } from '../session-state.ts';

const CHUNK_BYTES = 2 << 20;

/** How a commit is done. */
export interface CommitChoices {
  /** The file name of the image of the chain that gets the content; null for the backing file of the top one. */
  readonly base: string | null;
  /** The top image is left as it is; else it is emptied. */
  readonly keepsOverlay: boolean;
  readonly showsProgress: boolean;
}

/** Writes what the top image, and those between, hold into an image below. EINVAL if there is no such image. */
export async function commitImage(
  session: SessionState,
  { base, keepsOverlay, showsProgress }: CommitChoices,
): Promise<void> {
  const { image } = session;
  const overlay = inspectedNode(session.top);
  const link = base === null ? overlay.cowChild : linkTo(overlay, base);
  if (link === null) throw new BlockError(Errno.EINVAL, 'Image does not have a backing file');
  const progress = showsProgress ? new Progress(session, overlay.getLength()) : null;
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
      await copyInto(session, overlay, link, progress);
    } finally {
      if (wasReadOnly) await setReadOnly(link.node, true);
    }
  } finally {
    setLinkPermissions(link, before.perm, before.shared);
  }
  if (!keepsOverlay) await emptyOverlay(image, overlay);
  progress?.end();
}

/** The link to the image of the chain with this file name, as it is or as the image above it names it. */
function linkTo(overlay: BlockNode, name: string): ChildLink {
  for (let above = overlay; above.cowChild !== null; ) {
    const link = above.cowChild;
    const below = inspectedNode(link.node);
    if (name !== '' && (below.filename === name || link.node.filename === name || isSamePath(below, name))) return link;
    above = below;
  }
  throw new BlockError(Errno.EINVAL, `Did not find '${name}' in the backing chain of '${overlay.filename}'`);
}

function isSamePath(node: BlockNode, name: string): boolean {
  return node.exactFilename !== '' && path.resolve(node.exactFilename) === path.resolve(name);
}

/** How far a commit is, as qemu-img prints it. */
class Progress {
  readonly #session: SessionState;
  readonly #bytes: number;

  constructor(session: SessionState, bytes: number) {
    this.#session = session;
    this.#bytes = bytes;
    this.at(0);
  }

  at(done: number): void {
    const percent = this.#bytes === 0 ? 100 : (done * 100) / this.#bytes;
    this.#session.output.stdout(`    (${percent.toFixed(2)}/100%)\r`);
  }

  end(): void {
    this.at(this.#bytes);
    this.#session.output.stdout('\n');
  }
}

function setReadOnly(node: BlockNode, isReadOnly: boolean): Promise<void> {
  return reopenNode(node, new Options([['read-only', isReadOnly]]), true);
}

async function copyInto(
  session: SessionState,
  overlay: BlockNode,
  link: ChildLink,
  progress: Progress | null,
): Promise<void> {
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
      offset += await copyRun(session.image, base, lowestAbove(overlay, link), offset, length - offset);
      progress?.at(offset);
    }
    await base.flush();
  } finally {
    await closeBackend(base);
  }
}

/** The node whose backing file the link leads to. */
function lowestAbove(overlay: BlockNode, link: ChildLink): BlockNode {
  let node = overlay;
  while (node.cowChild !== null && node.cowChild !== link) node = inspectedNode(node.cowChild.node);
  return node;
}

/** Copies a run of one state of the nodes down to `lowest`; how long it was. */
async function copyRun(
  image: BlockBackend,
  base: BlockBackend,
  lowest: BlockNode,
  offset: number,
  rest: number,
): Promise<number> {
  const query = { base: lowest, includeBase: true, wantZero: true };
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
  image.addPermissions(Perm.WRITE | Perm.RESIZE);
  await run(image.drained('commit', () => overlay.driver.makeEmpty?.(overlay)));
  await image.flush();
}
