/** Making a luks volume: the file, the header with a new key, and the length of the disk. */
import { createFile } from '../../block/create.ts';
import type { CreateValues, Preallocation } from '../../block/driver.ts';
import { BlockError, invalidArgument } from '../../block/error.ts';
import { MAX_LENGTH, Open, Perm } from '../../block/flags.ts';
import type { GraphContext } from '../../block/graph/context.ts';
import { closeBackend } from '../../block/graph/graph.ts';
import { setBackendPermissions } from '../../block/graph/permissions.ts';
import { loadDriver } from '../../block/open/driver-table.ts';
import { openBackend } from '../../block/open/open.ts';
import { Options } from '../../block/options/options.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwritev } from '../../block/request/write.ts';
import { passphraseBytes } from '../../block/user-object.ts';
import { CryptoError } from '../../crypto/algorithms.ts';
import { createLuks, luksPayloadOffset } from '../../crypto/luks-create.ts';
import { luksChoices, luksCreateOptions } from '../../crypto/luks-options.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';

const preallocations: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];

/** Makes the volume; its file is deleted if that fails. */
export async function createVolume(context: GraphContext, filename: string, values: CreateValues): Promise<void> {
  const own = new Set(['size', 'preallocation', ...luksCreateOptions().map(({ name }) => name)]);
  await createFile(context, filename, new Map([...values].filter(([key]) => !own.has(key))));
  try {
    await fillFile(context, filename, values);
  } catch (error) {
    const protocol = await loadDriver(context.drivers.findProtocol(filename, true));
    await protocol.deleteFile?.(filename);
    throw error instanceof CryptoError ? invalidArgument(error.message) : error;
  }
}

async function fillFile(context: GraphContext, filename: string, values: CreateValues): Promise<void> {
  const size = Number(values.get('size') ?? 0);
  const mode = values.get('preallocation') ?? 'off';
  const preallocation = preallocations.find((candidate) => candidate === mode);
  if (preallocation === undefined) throw invalidArgument(`invalid parameter value: ${mode}`);
  const choices = luksChoices(values, '');
  const secret = values.get('key-secret');
  if (secret === undefined) throw invalidArgument("Parameter 'key-secret' is required for cipher");
  const passphrase = passphraseBytes(context.objects, secret);
  if (size > MAX_LENGTH - luksPayloadOffset(choices)) {
    throw new BlockError(Errno.EFBIG, 'The requested file size is too large');
  }
  const { header, material, materialOffset, payloadOffset } = await run(
    createLuks(choices, passphrase, (begin) => context.loop.parkOutside({ kind: 'key' }, begin)),
  );
  const file = await openBackend(context, { filename, options: new Options(), flags: Open.READ_WRITE | Open.PROTOCOL });
  try {
    setBackendPermissions(file, Perm.WRITE | Perm.RESIZE, Perm.ALL);
    await truncate(file.root, payloadOffset + size, { preallocation });
    await pwritev(file.root, 0, header, 0);
    await pwritev(file.root, materialOffset, material, 0);
  } finally {
    await closeBackend(file);
  }
}
