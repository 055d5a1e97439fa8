/** Writes the disks of a sandbox to the files that they are copies of, by the drivers of the host. */
import type { BlockBackend } from '../block/backend.ts';
import type { RegisteredDriver } from '../block/driver.ts';
import { BlockError } from '../block/error.ts';
import { Open, Perm, Req } from '../block/flags.ts';
import { GraphContext } from '../block/graph/context.ts';
import { closeBackend } from '../block/graph/graph.ts';
import { setBackendPermissions } from '../block/graph/permissions.ts';
import { EventLoop } from '../block/loop/loop.ts';
import { DriverTable } from '../block/open/driver-table.ts';
import { openBackend } from '../block/open/open.ts';
import { Options } from '../block/options/options.ts';
import type { WrittenFile } from '../shell/session-timeline.ts';
import { Errno } from '../util/errno.ts';
import type { CaseDisk, Disks } from './disks/disks.ts';

/** A disk with its file open for writing, to the exclusion of other writers. */
interface OpenedFile {
  readonly disk: CaseDisk;
  readonly backend: BlockBackend;
}

/** Whether `writeBack` could begin now; throws what it would throw. */
export async function checkWritable(disks: Disks, drivers: readonly RegisteredDriver[]): Promise<void> {
  await withFiles(disks, drivers, async () => {});
}

/**
 * Writes what has changed; nothing is written unless all files are as they were, can be opened for writing, and are
 * locked by no other program. EBUSY and other errors say so. After an error while it writes, files are partly written:
 * the disks are as they were, and it may be tried again.
 */
export async function writeBack(disks: Disks, drivers: readonly RegisteredDriver[]): Promise<readonly WrittenFile[]> {
  const written: WrittenFile[] = [];
  await withFiles(disks, drivers, async ({ disk, backend }) => {
    try {
      await writeDisk(disk, backend);
    } finally {
      // These changes are no other program's.
      disk.file.takeAsOpened(disk.path);
    }
    written.push({ path: disk.path, changedBytes: disk.content.changedBytes });
  });
  return written;
}

/** Opens the files of all disks that have changed, and then does something with each. */
async function withFiles(
  disks: Disks,
  drivers: readonly RegisteredDriver[],
  body: (file: OpenedFile) => Promise<void>,
): Promise<void> {
  const loop = new EventLoop();
  const context = new GraphContext({ loop, drivers: new DriverTable(drivers) });
  const changed = disks.all.filter(({ number }) => disks.changed.has(number));
  const opened: OpenedFile[] = [];
  let failure: unknown;
  await loop.run('commit', async () => {
    try {
      for (const disk of changed) opened.push({ disk, backend: await openForWriting(context, disk) });
      for (const file of opened) await body(file);
    } catch (error) {
      failure = error;
    }
    for (const { backend } of opened) await closeBackend(backend);
  });
  if (failure !== undefined) throw failure;
}

async function openForWriting(context: GraphContext, { path, file }: CaseDisk): Promise<BlockBackend> {
  const options = new Options([
    ['driver', 'raw'],
    ['file.driver', 'file'],
    ['file.filename', path],
  ]);
  const backend = await openBackend(context, { filename: null, options, flags: Open.READ_WRITE | Open.UNMAP });
  try {
    setBackendPermissions(backend, Perm.CONSISTENT_READ | Perm.WRITE | Perm.RESIZE, Perm.CONSISTENT_READ);
    if (!file.isAsOpened(path)) {
      throw new BlockError(Errno.EBUSY, `'${path}' was changed by another program since the sandbox opened it`);
    }
  } catch (error) {
    await closeBackend(backend);
    throw error;
  }
  backend.writeCacheEnabled = true;
  return backend;
}

async function writeDisk({ content, file }: CaseDisk, backend: BlockBackend): Promise<void> {
  const { lengthBytes, keptBytes } = content;
  if (keptBytes < file.lengthBytes) await backend.truncate(keptBytes, { exact: true });
  if (backend.getLength() !== lengthBytes) await backend.truncate(lengthBytes, { exact: true });
  for (const { offset, bytes, data } of content.changes()) {
    if (data === null) await backend.pwriteZeroes(offset, bytes, Req.MAY_UNMAP);
    else await backend.pwrite(offset, data, 0);
  }
  await backend.flush();
}
