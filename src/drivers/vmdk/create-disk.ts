/** Making a vmdk image: its extents, a file each, and the descriptor that names them. */
import type { BlockBackend } from '../../block/backend.ts';
import { besides, createFile } from '../../block/create.ts';
import type { CreateValues } from '../../block/driver.ts';
import { BlockError, errnoOf, invalidArgument, withContext } from '../../block/error.ts';
import { Open, Perm, SECTOR_BYTES } from '../../block/flags.ts';
import type { GraphContext } from '../../block/graph/context.ts';
import { closeBackend } from '../../block/graph/graph.ts';
import { setBackendPermissions } from '../../block/graph/permissions.ts';
import { openBackend } from '../../block/open/open.ts';
import { Options } from '../../block/options/options.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwritev } from '../../block/request/write.ts';
import { run } from '../../util/steps.ts';
import { newContentId, readContentId } from './content-id.ts';
import { type NewDisk, newDiskFrom, vmdkCreateOptions } from './disk-options.ts';
import { newSparseExtent } from './new-extent.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** Extents of a split disk have 2 GiB. */
const SPLIT_BYTES = 2 ** 31;
const DESCRIPTOR_IN_EXTENT = 0x200;
/** Longer lines of a parent are cut. */
const MAX_PARENT_LINE = 4095;
const NO_PARENT = 0xffff_ffff;

/** An image under way. */
interface Making {
  readonly context: GraphContext;
  /** The options of the files. */
  readonly rest: CreateValues;
  readonly disk: NewDisk;
}

/** Makes the image. As with qemu-img the files stay if that fails. */
export async function createDisk(context: GraphContext, filename: string, values: CreateValues): Promise<void> {
  const own = new Set(vmdkCreateOptions.map(({ name }) => name));
  const rest = new Map([...values].filter(([key]) => !own.has(key)));
  const disk = newDiskFrom(values);
  const making: Making = { context, rest, disk };
  const { isFlat, isSplit } = disk;
  const hasOwnDescriptor = isFlat || isSplit;
  const first = await createExtent(making, filename, hasOwnDescriptor ? 0 : disk.lengthBytes);
  try {
    const lines = hasOwnDescriptor ? [] : [extentLine(disk, first, disk.lengthBytes)];
    const parent = disk.backingFile === null ? null : await parentOf(context, first, disk.backingFile);
    for (let done = 0, index = 1; hasOwnDescriptor && done < disk.lengthBytes; index++) {
      const bytes = Math.min(disk.lengthBytes - done, isSplit ? SPLIT_BYTES : disk.lengthBytes);
      const extent = await createExtent(making, extentName(filename, disk, index), bytes);
      lines.push(extentLine(disk, extent, bytes));
      await closeBackend(extent);
      done += bytes;
    }
    const text = Buffer.from(descriptorOf(disk, newContentId(context.loop.clock.nowNs(), NO_PARENT), parent, lines));
    const offset = hasOwnDescriptor ? 0 : DESCRIPTOR_IN_EXTENT;
    await withContext('Could not write description', () => pwritev(first.root, offset, text, 0));
    if (hasOwnDescriptor) await truncate(first.root, text.length);
  } finally {
    await closeBackend(first);
  }
}

/** Makes a file with an extent, which the caller closes; a descriptor takes the place of one without length. */
async function createExtent(making: Making, filename: string, bytes: number): Promise<BlockBackend> {
  const { context, rest, disk } = making;
  await createFile(context, filename, rest);
  const flags = Open.READ_WRITE | Open.PROTOCOL;
  const file = await openBackend(context, { filename, options: new Options(), flags });
  try {
    setBackendPermissions(file, Perm.WRITE | Perm.RESIZE, Perm.ALL);
    if (disk.isFlat) {
      await file.truncate(bytes, { exact: false });
      return file;
    }
    const { lengthBytes, parts } = newSparseExtent(bytes, disk);
    await truncate(file.root, lengthBytes);
    for (const { offset, data } of parts) await pwritev(file.root, offset, data, 0);
    return file;
  } catch (error) {
    await closeBackend(file);
    throw error;
  }
}

/** The name of the file of an extent, counted from 1, beside the descriptor. */
function extentName(filename: string, { isFlat, isSplit }: NewDisk, index: number): string {
  const mark = ['/', '\\', ':'].find((separator) => filename.includes(separator)) ?? '/';
  const base = filename.lastIndexOf(mark) + 1;
  const dot = filename.lastIndexOf('.');
  const end = dot < base ? filename.length : dot;
  const middle = isSplit ? `-${isFlat ? 'f' : 's'}${String(index).padStart(3, '0')}` : '-flat';
  return `${filename.slice(0, end)}${middle}${filename.slice(end)}`;
}

function extentLine({ isFlat }: NewDisk, extent: BlockBackend, bytes: number): string {
  const { filename } = extent.top;
  const name = filename.slice(filename.lastIndexOf('/') + 1);
  const sectors = Math.ceil(bytes / SECTOR_BYTES);
  return isFlat ? `RW ${sectors} FLAT "${name}" 0\n` : `RW ${sectors} SPARSE "${name}"\n`;
}

/** The content id of the image below; it has to be one of this format. */
async function parentOf(context: GraphContext, first: BlockBackend, backingFile: string): Promise<number> {
  const filename = besides(first.top.filename, backingFile);
  const backing = await openBackend(context, { filename, options: new Options(), flags: Open.NO_BACKING });
  try {
    const { driver, state } = backing.top;
    if (driver.formatName !== 'vmdk') {
      throw invalidArgument(`Invalid backing file format: ${driver.formatName}. Must be vmdk`);
    }
    return await run(readContentId(state as VmdkImage, 'CID'));
  } catch (error) {
    if (!(error instanceof BlockError) || error.message.startsWith('Invalid')) throw error;
    throw new BlockError(errnoOf(error), 'Failed to read parent CID');
  } finally {
    await closeBackend(backing);
  }
}

function descriptorOf(disk: NewDisk, cid: number, parent: number | null, extents: readonly string[]): string {
  const { heads, backingFile } = disk;
  const cylinders = Math.floor(disk.lengthBytes / (63 * heads * SECTOR_BYTES));
  const parentLine = backingFile === null ? '' : `parentFileNameHint="${backingFile}"`.slice(0, MAX_PARENT_LINE);
  return `# Disk DescriptorFile
version=1
CID=${cid.toString(16)}
parentCID=${(parent ?? NO_PARENT).toString(16)}
createType="${disk.subformat}"
${parentLine}
# Extent description
${extents.join('')}
# The Disk Data Base
#DDB

ddb.virtualHWVersion = "${disk.hardwareVersion}"
ddb.geometry.cylinders = "${cylinders}"
ddb.geometry.heads = "${heads}"
ddb.geometry.sectors = "63"
ddb.adapterType = "${disk.adapterType}"
ddb.toolsVersion = "${disk.toolsVersion}"
`;
}
