/** Opening a vmdk image: its descriptor, in a file of its own or in an extent, and the extents that it names. */
import { BlockError, invalidArgument, prependError } from '../../block/error.ts';
import { Open, Role } from '../../block/flags.ts';
import type { ChildLink } from '../../block/graph/node.ts';
import { childPermissions, cumulativePermissions, setLinkPermissions } from '../../block/graph/permissions.ts';
import { refreshFilename } from '../../block/graph/refresh-filename.ts';
import { folderOf } from '../../block/open/filename.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import type { Options } from '../../block/options/options.ts';
import { preadv } from '../../block/request/read.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import { DESCRIPTOR_BYTES, readContentId } from './content-id.ts';
import { asUtf8, createTypeOf, type ExtentLine, extentLines, textOf } from './extent-lines.ts';
import { Extent } from './extent.ts';
import { isSparse, openSeSparse, openSparse, readDescriptor } from './open-extent.ts';
import { VmdkImage, type VmdkNode } from './vmdk-image.ts';

/** The types of images whose descriptor is a text of its own. */
const createTypes = 'monolithicFlat vmfs vmfsSparse seSparse twoGbMaxExtentSparse twoGbMaxExtentFlat'.split(' ');
/** Descriptors within extents that a descriptor names. QEMU goes on until there are no file descriptors left. */
const MAX_NESTING = 8;
const DESCRIPTOR_IN_EXTENT = 0x200;
const MAX_PARENT_NAME_BYTES = 1023;

/** Opens `file` and all extents; sets `node.state`. */
export async function openImage(node: VmdkNode, options: Options, flags: number): Promise<void> {
  const file = await openFileChild(node, options, 'file');
  const image = new VmdkImage(node);
  node.state = image;
  const head = await readDescriptor(file, 0);
  const isWritable = (flags & Open.READ_WRITE) !== 0;
  if (isSparse(head)) {
    await addSparse(image, options, { file, head, isWritable, nesting: 0 });
    image.descriptorOffset = DESCRIPTOR_IN_EXTENT;
  } else {
    leaveData(node, file);
    await addExtents(image, options, head, 0);
  }
  node.totalSectors = image.totalSectors;
  await readParentName(image);
  image.cid = await run(readContentId(image, 'CID'));
  image.parentCid = await run(readContentId(image, 'parentCID'));
}

/** A descriptor has no data of the guest: others may do more with its file. */
function leaveData(node: VmdkNode, file: ChildLink): void {
  file.role &= ~Role.DATA;
  const { perm, shared } = cumulativePermissions(node);
  const wanted = childPermissions(node, file, perm, shared);
  setLinkPermissions(file, wanted.perm, wanted.shared);
}

/** Opens the extents that a descriptor names. */
async function addExtents(image: VmdkImage, options: Options, descriptor: Buffer, nesting: number): Promise<void> {
  const text = textOf(descriptor);
  const createType = createTypeOf(text);
  if (createType === null) throw invalidArgument('invalid VMDK image descriptor');
  if (!createTypes.includes(createType)) {
    throw new BlockError(Errno.ENOTSUP, `Unsupported image type '${asUtf8(createType)}'`);
  }
  image.createType = createType;
  for (const line of extentLines(text)) await addExtent(image, options, line, nesting);
}

async function addExtent(image: VmdkImage, options: Options, line: ExtentLine, nesting: number): Promise<void> {
  const { node } = image;
  const { type, sectors, offset } = line;
  const isFlat = type === 'FLAT' || type === 'VMFS';
  const file = await openExtentFile(image, options, line.filename, isFlat ? Role.DATA : Role.DATA | Role.METADATA);
  if (isFlat) {
    image.add(new Extent(image, file, { kind: 'flat', sectors, flatOffset: offset }), sectors);
  } else if (type === 'SESPARSE') {
    await openSeSparse(image, file);
  } else {
    const head = await readDescriptor(file, 0);
    await addSparse(image, options, { file, head, isWritable: !node.isReadOnly, nesting });
  }
  const last = image.extents.at(-1);
  if (last !== undefined) last.type = type;
}

async function openExtentFile(image: VmdkImage, options: Options, name: string, role: number): Promise<ChildLink> {
  const { node, file, extents } = image;
  const filename = name.startsWith('/') ? name : `${extentFolder(file)}${name}`;
  try {
    return await openChild(node, options, `extents.${extents.length}`, role, { filename, isPlain: true });
  } catch (error) {
    throw error instanceof BlockError ? invalidArgument(error.message) : error;
  }
}

/** The folder in which the names of extents begin. */
function extentFolder(file: ChildLink): string {
  try {
    return folderOf(file.node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    refreshFilename(file.node);
    const { filename } = file.node;
    throw prependError(error, `Cannot use relative paths with VMDK descriptor file '${filename}': `);
  }
}

/** Opens what is in a sparse extent: the extent itself, or a descriptor that names others. */
async function addSparse(
  image: VmdkImage,
  options: Options,
  { file, head, isWritable, nesting }: { file: ChildLink; head: Buffer; isWritable: boolean; nesting: number },
): Promise<void> {
  const descriptor = await openSparse(image, file, head, isWritable);
  if (descriptor === null) return;
  if (nesting === MAX_NESTING) throw new BlockError(Errno.ELOOP, `More than ${MAX_NESTING} descriptors in extents`);
  await addExtents(image, options, descriptor, nesting + 1);
}

/** The parent as the descriptor names it. EINVAL for a name that does not end. */
async function readParentName({ node, file, descriptorOffset }: VmdkImage): Promise<void> {
  const data = Buffer.alloc(DESCRIPTOR_BYTES + 1);
  await preadv(file, descriptorOffset, data.subarray(0, DESCRIPTOR_BYTES), 0);
  const found = textOf(data).indexOf('parentFileNameHint');
  if (found < 0) return;
  const name = textOf(data.subarray(found + 'parentFileNameHint="'.length));
  const end = name.indexOf('"');
  if (end < 0 || end > MAX_PARENT_NAME_BYTES) throw new BlockError(Errno.EINVAL);
  node.backingFilename = asUtf8(name.slice(0, end));
  node.autoBackingFilename = node.backingFilename;
  node.backingFormat = 'vmdk';
}
