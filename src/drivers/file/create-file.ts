/** Making a file of the host: empty, then as long as asked for. */
import { closeSync, constants, openSync } from 'node:fs';
import { truncate } from '../../block/request/truncate.ts';
import type { CreateValues, Preallocation } from '../../block/driver.ts';
import { errorWithErrno, invalidArgument } from '../../block/error.ts';
import { Open, Perm, SECTOR_BYTES } from '../../block/flags.ts';
import type { GraphContext } from '../../block/graph/context.ts';
import { closeBackend } from '../../block/graph/graph.ts';
import { setBackendPermissions } from '../../block/graph/permissions.ts';
import { openBackend } from '../../block/open/open.ts';
import { Options } from '../../block/options/options.ts';
import { alignUp } from '../../util/align.ts';
import { hostErrno } from '../../util/errno.ts';

const preallocations: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];

/** Makes or empties the file, and gives it its length. Fails with the lock's message if another program has it open. */
export async function createHostFile(context: GraphContext, filename: string, values: CreateValues): Promise<void> {
  const path = filename.replace(/^file:/, '');
  const size = alignUp(Number(values.get('size') ?? 0), SECTOR_BYTES);
  const mode = values.get('preallocation') ?? 'off';
  const preallocation = preallocations.find((candidate) => candidate === mode);
  if (preallocation === undefined) throw invalidArgument(`invalid parameter value: ${mode}`);
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644));
  } catch (error) {
    throw errorWithErrno(hostErrno(error), `Could not create '${path}'`);
  }
  const options = new Options([
    ['driver', 'file'],
    ['filename', path],
  ]);
  const file = await openBackend(context, { filename: null, options, flags: Open.READ_WRITE });
  try {
    setBackendPermissions(file, Perm.WRITE | Perm.RESIZE, Perm.ALL & ~Perm.RESIZE);
    await truncate(file.root, 0);
    await truncate(file.root, size, { preallocation });
  } finally {
    await closeBackend(file);
  }
}
