/** Makes a node and lets its driver open it. */
import { strerror } from '../../util/errno.ts';
import type { Driver, RegisteredDriver } from '../driver.ts';
import { BlockError, errorWithErrno, invalidArgument, withContext } from '../error.ts';
import { Open } from '../flags.ts';
import { chooseNodeName, detachChild, registerNode, releaseNode } from '../graph/graph.ts';
import { refreshLimits } from '../graph/limits.ts';
import { BlockNode } from '../graph/node.ts';
import type { GraphContext } from '../graph/context.ts';
import { applyDiscard, applyToFlags, detectZeroesMode, takeGenericOptions } from '../options/node-options.ts';
import type { Options } from '../options/options.ts';
import { loadDriver } from './driver-table.ts';
import { refreshFilename } from '../graph/refresh-filename.ts';
import { RequestTracker } from '../request/serialise.ts';

/** The parts of a node to be made: its options, sorted out, and the file that is open already. */
export interface DriverRequest {
  /** All options of the node, which it keeps. */
  readonly options: Options;
  readonly explicitOptions: Options;
  /** The options that have not been taken yet. */
  readonly rest: Options;
  readonly flags: number;
  /** The node that the format was probed on; the driver finds it by its name in `rest`. */
  readonly file: BlockNode | null;
  /** `file` was opened for this node, and inherits from it. */
  readonly adoptsFile: boolean;
  readonly probed: boolean;
  readonly inheritsFrom: BlockNode | null;
}

/** Opens a node with this driver; the caller owns one reference. Nothing is left open if it throws. */
export async function openDriver(
  context: GraphContext,
  known: RegisteredDriver,
  request: DriverRequest,
): Promise<BlockNode> {
  const driver = await loadDriver(known);
  const node = makeNode(context, driver, request);
  registerNode(node);
  await openOrRelease(node, request.rest);
  try {
    finishOpening(node);
  } catch (error) {
    await releaseNode(node);
    throw error;
  }
  return node;
}

function makeNode(context: GraphContext, driver: Driver, request: DriverRequest): BlockNode {
  const { options, explicitOptions, rest, file } = request;
  const generic = takeGenericOptions(rest);
  let flags = applyToFlags(request.flags, generic);
  const isReadOnly = (flags & Open.READ_WRITE) === 0;
  const forceShare = generic['force-share'] === true;
  if (forceShare && !isReadOnly) throw invalidArgument('force-share=on can only be used with read-only images');

  if (file !== null) refreshFilename(file);
  const filename = file === null ? (rest.getString('filename') ?? '') : file.filename;
  if (driver.needsFilename === true && filename === '') {
    throw invalidArgument(`The '${driver.formatName}' block driver requires a file name`);
  }
  const copyOnRead = (flags & Open.COPY_ON_READ) !== 0;
  if (copyOnRead && isReadOnly) throw invalidArgument("Can't use copy-on-read on read-only device");
  flags = applyDiscard(flags, generic);
  const detectZeroes = detectZeroesMode(flags, generic);

  const node = new BlockNode(driver, context, chooseNodeName(context, generic['node-name']), flags, options);
  node.explicitOptions = explicitOptions;
  node.requests = new RequestTracker(node);
  node.forceShare = forceShare;
  node.copyOnRead = copyOnRead ? 1 : 0;
  node.detectZeroes = detectZeroes;
  node.filename = filename;
  node.exactFilename = filename;
  node.probed = request.probed;
  node.inheritsFrom = request.inheritsFrom;
  if (file !== null && request.adoptsFile) file.inheritsFrom = node;
  return node;
}

async function openOrRelease(node: BlockNode, rest: Options): Promise<void> {
  const flags = node.openFlags & ~(Open.SNAPSHOT | Open.NO_BACKING | Open.PROTOCOL);
  try {
    await node.driver.open(node, rest, flags);
  } catch (error) {
    // The driver has given back what was its own; there is nothing to flush or to close.
    node.closed = true;
    if (node.file !== null) await detachChild(node.file);
    await releaseNode(node);
    throw error instanceof BlockError ? withFilename(node, error) : error;
  }
}

/** An error that says no more than its errno is told with the name of the image. */
function withFilename(node: BlockNode, error: BlockError): BlockError {
  if (error.message !== strerror(error.errno)) return error;
  return errorWithErrno(
    error.errno,
    node.filename === '' ? 'Could not open image' : `Could not open '${node.filename}'`,
  );
}

function finishOpening(node: BlockNode): void {
  withContext('Could not refresh total sector count', () => node.refreshTotalSectors(node.totalSectors));
  refreshLimits(node);
}
