/** Making a qcow2 image: the least that can be opened is written, and what else it needs is done by opening it. */
import type { BlockBackend } from '../../../block/backend.ts';
import { createFile } from '../../../block/create.ts';
import type { CreateValues } from '../../../block/driver.ts';
import { BlockError, errorWithErrno, prependError, stepsWithContext, withContext } from '../../../block/error.ts';
import { Open, Perm } from '../../../block/flags.ts';
import type { GraphContext } from '../../../block/graph/context.ts';
import { closeBackend } from '../../../block/graph/graph.ts';
import { setBackendPermissions } from '../../../block/graph/permissions.ts';
import { loadDriver } from '../../../block/open/driver-table.ts';
import { openBackend } from '../../../block/open/open.ts';
import { Options } from '../../../block/options/options.ts';
import { pwritev } from '../../../block/request/write.ts';
import { assert } from '../../../util/assert.ts';
import { Errno } from '../../../util/errno.ts';
import { run, type Steps } from '../../../util/steps.ts';
import { Autoclear, Compatible, Compression, Incompatible } from '../format/features.ts';
import { HEADER_BYTES, HeaderField, MAGIC } from '../format/header-fields.ts';
import { allocateClusters } from '../refcounts/refcounts.ts';
import { updateHeader } from '../tables/header-write.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { truncateImage } from '../data/truncate.ts';
import { type NewImage, newImageFrom, qcow2CreateOptions } from './create-options.ts';
import { setEncryption } from './set-encryption.ts';

const MAX_BACKING_NAME_BYTES = 1023;

/** Makes the image and, if it is to have one, its data file. Both are deleted if it fails. */
export async function createQcow2(context: GraphContext, filename: string, values: CreateValues): Promise<void> {
  const made: string[] = [];
  const create = async (name: string): Promise<void> => {
    // The format takes what it knows; the protocol gets the rest.
    const rest = new Map([...values].filter(([key]) => !qcow2CreateOptions.some(({ name }) => name === key)));
    await createFile(context, name, rest);
    made.push(name);
  };
  try {
    await create(filename);
    const dataFile = values.get('data_file');
    if (dataFile !== undefined) await create(dataFile);
    const wanted = newImageFrom(values, (name) => context.drivers.find(name) !== null);
    await writeBeginning(context, filename, wanted);
    await completeImage(context, filename, wanted);
  } catch (error) {
    for (const name of made) await deleteFile(context, name);
    throw error;
  }
}

async function deleteFile(context: GraphContext, filename: string): Promise<void> {
  const driver = await loadDriver(context.drivers.findProtocol(filename, true));
  await driver.deleteFile?.(filename);
}

/** Writes a header, a refcount table and an empty refcount block, a cluster each. */
async function writeBeginning(context: GraphContext, filename: string, wanted: NewImage): Promise<void> {
  const clusterBytes = 2 ** wanted.clusterBits;
  const file = await openBackend(context, { filename, options: new Options(), flags: Open.READ_WRITE | Open.PROTOCOL });
  try {
    setBackendPermissions(file, Perm.WRITE | Perm.RESIZE, Perm.ALL);
    await withContext('Could not write qcow2 header', () => pwritev(file.root, 0, headerOf(wanted), 0));
    const tables = Buffer.alloc(2 * clusterBytes);
    tables.writeBigUInt64BE(BigInt(2 * clusterBytes));
    await withContext('Could not write refcount table', () => pwritev(file.root, clusterBytes, tables, 0));
  } finally {
    await closeBackend(file);
  }
}

/** The first cluster of an image without length. */
function headerOf(wanted: NewImage): Buffer {
  const header = Buffer.alloc(2 ** wanted.clusterBits);
  header.writeUInt32BE(MAGIC, HeaderField.MAGIC);
  header.writeUInt32BE(wanted.version, HeaderField.VERSION);
  header.writeUInt32BE(wanted.clusterBits, HeaderField.CLUSTER_BITS);
  header.writeBigUInt64BE(BigInt(header.length), HeaderField.REFCOUNT_TABLE_OFFSET);
  header.writeUInt32BE(1, HeaderField.REFCOUNT_TABLE_CLUSTERS);
  header.writeUInt32BE(wanted.refcountOrder, HeaderField.REFCOUNT_ORDER);
  header.writeUInt32BE(HEADER_BYTES, HeaderField.HEADER_BYTES);
  header[HeaderField.COMPRESSION_TYPE] = wanted.compressionType;
  const incompatible =
    (wanted.dataFile === null ? 0n : Incompatible.DATA_FILE) |
    (wanted.compressionType === Compression.ZLIB ? 0n : Incompatible.COMPRESSION) |
    (wanted.hasSubclusters ? Incompatible.EXTENDED_L2 : 0n);
  header.writeBigUInt64BE(incompatible, HeaderField.INCOMPATIBLE);
  header.writeBigUInt64BE(wanted.lazyRefcounts ? Compatible.LAZY_REFCOUNTS : 0n, HeaderField.COMPATIBLE);
  header.writeBigUInt64BE(wanted.dataFileRaw ? Autoclear.DATA_FILE_RAW : 0n, HeaderField.AUTOCLEAR);
  return header;
}

/** Opens the image, counts its first clusters, and gives it its length, its backing file and the whole header. */
async function completeImage(context: GraphContext, filename: string, wanted: NewImage): Promise<void> {
  const options = new Options([['driver', 'qcow2']]);
  if (wanted.dataFile !== null) options.set('data-file.filename', wanted.dataFile);
  const backend = await openBackend(context, { filename, options, flags: Open.READ_WRITE | Open.NO_FLUSH });
  try {
    setBackendPermissions(backend, Perm.CONSISTENT_READ | Perm.WRITE | Perm.RESIZE, Perm.ALL);
    await run(complete(backend, wanted));
  } finally {
    await closeBackend(backend);
  }
}

function* complete(backend: BlockBackend, wanted: NewImage): Steps<void> {
  const image = backend.top.state as Qcow2Image;
  const first = yield* stepsWithContext(
    'Could not allocate clusters for qcow2 header and refcount table',
    allocateClusters(image, 3 * image.clusterBytes),
  );
  assert(first === 0, 'the first clusters of a new image are free');
  if (wanted.dataFile !== null) image.dataFileName = Buffer.from(image.dataFile.node.filename);
  yield* stepsWithContext('Could not update qcow2 header', updateHeader(image));
  try {
    const { lengthBytes, preallocation } = wanted;
    yield* truncateImage(image, lengthBytes, { exact: false, preallocation, flags: 0 });
  } catch (error) {
    throw error instanceof BlockError ? prependError(error, 'Could not resize image: ') : error;
  }
  if (wanted.backingFile !== null) yield* setBackingFile(image, wanted.backingFile, wanted.backingFormat);
  if (wanted.encryption !== null) yield* setEncryption(image, wanted.encryption);
}

function* setBackingFile(image: Qcow2Image, name: string, format: string | null): Steps<void> {
  image.backingFile = Buffer.from(name);
  image.backingFormat = format === null ? null : Buffer.from(format);
  try {
    if (image.backingFile.length > MAX_BACKING_NAME_BYTES) throw new BlockError(Errno.EINVAL);
    yield* updateHeader(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw errorWithErrno(error.errno, `Could not assign backing file '${name}' with format '${format ?? '(null)'}'`);
  }
}
