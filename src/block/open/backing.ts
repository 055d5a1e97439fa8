/** Opening the backing file of an image. */
import { Errno } from '../../util/errno.ts';
import { BlockError, invalidArgument, prependError } from '../error.ts';
import { fullBackingFilename } from './filename.ts';
import { Open, Role } from '../flags.ts';
import { attachChild } from '../graph/graph.ts';
import { refreshLimitsIfPossible } from '../graph/limits.ts';
import type { BlockNode } from '../graph/node.ts';
import { inheritFrom } from '../options/node-options.ts';
import type { NodeOpener } from './open.ts';
import { type Options, takeSub } from '../options/options.ts';
import { refreshFilename } from '../graph/refresh-filename.ts';

/**
 * Opens the backing file that `options` describe (`backing` or `backing.*`, taken out), or else the one that the image
 * names (`parent.backingFilename`, `parent.backingFormat`), by `openNode`. Does nothing if there is none, or if it is
 * open already.
 */
export async function openBacking(parent: BlockNode, options: Options, openNode: NodeOpener): Promise<void> {
  if (parent.backing !== null) return;
  parent.openFlags &= ~Open.NO_BACKING;

  const childOptions = takeSub(options, 'backing.');
  const reference = options.getString('backing') ?? null;
  let filename: string | null = null;
  let isImplicit = false;
  if (reference === null && !childOptions.has('file.filename')) {
    if (parent.backingFilename === '' && childOptions.size === 0) return;
    isImplicit = childOptions.size === 0 && parent.autoBackingFilename === parent.backingFilename;
    filename = fullBackingFilename(parent);
    if (childOptions.size === 0 && filename !== null) refuseLoop(parent, filename);
  }
  if (parent.driver.supportsBacking !== true) {
    throw invalidArgument("Driver doesn't support backing files");
  }
  if (reference === null && parent.backingFormat !== '') childOptions.setDefault('driver', parent.backingFormat);

  const role = parent.driver.isFilter === true ? Role.FILTERED | Role.PRIMARY : Role.COW;
  const backing = await openBackingNode(parent, openNode, { filename, reference, options: childOptions, role });
  if (isImplicit) {
    refreshFilename(backing);
    parent.autoBackingFilename = backing.filename;
  }
  await attachChild(parent, backing, 'backing', role);
  refreshLimitsIfPossible(parent);
  options.delete('backing');
}

async function openBackingNode(
  parent: BlockNode,
  openNode: NodeOpener,
  what: { filename: string | null; reference: string | null; options: Options; role: number },
): Promise<BlockNode> {
  const { filename, reference, options, role } = what;
  try {
    return await openNode(parent.context, { filename, reference, options, flags: 0, from: inheritFrom(parent, role) });
  } catch (error) {
    parent.openFlags |= Open.NO_BACKING;
    throw error instanceof BlockError ? prependError(error, 'Could not open backing file: ') : error;
  }
}

/**
 * Refuses a backing file that a node above was opened over already, without options of the user in both cases: it would
 * lead here again and again. qemu-io 7.2 opens such a chain until there are no file descriptors left.
 */
function refuseLoop(parent: BlockNode, filename: string): void {
  const name = withoutDots(filename);
  for (let node = parent.inheritsFrom; node !== null; node = node.inheritsFrom) {
    if (node.impliedBacking === name && node.backingFormat === parent.backingFormat) {
      throw new BlockError(Errno.ELOOP, `Backing file '${filename}' creates an infinite loop.`);
    }
  }
  parent.impliedBacking = name;
}

/** The name without the steps that go nowhere, of which a loop adds some in every round. */
function withoutDots(filename: string): string {
  let name = filename.replaceAll(/(?<=^|[/:])(?:\.\/+)+/g, '');
  for (let before = ''; before !== name; ) {
    before = name;
    name = name.replace(/(?<=^|\/)(?!\.\.\/)[^/]+\/+\.\.\/+/, '');
  }
  return name;
}
