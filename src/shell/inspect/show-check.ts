/** The work of `check`: of what the metadata says now, or of the open image, with repairs. */
import type { CheckRepair, CheckResult } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Perm } from '../../block/flags.ts';
import { closeBackend } from '../../block/graph/graph.ts';
import { checkAsJson, checkStatus, checkTwice, describeCheck, describeRepairs } from '../../block/image-check.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { inspectedNode, inspectorOf } from '../../block/inspect.ts';
import { openPeeked } from '../../block/open/peeked.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { namedOrTop } from './choose.ts';

/** How `check` looks. */
export interface CheckOptions {
  readonly json: boolean;
  readonly node: string | null;
  readonly repair: CheckRepair | null;
  /** Only what is on disk counts, without what is to be written. */
  readonly isDiskAlone: boolean;
}

/** Checks, and says what was found; fails if anything but leaks was. */
export async function checkAndReport(session: SessionState, options: CheckOptions): Promise<void> {
  const node = inspectedNode(namedOrTop(session, options.node));
  const { driver, filename } = node;
  const repair = options.repair ?? 'none';
  const print = (lines: readonly string[]): void => session.output.stdout(`${lines.join('\n')}\n`);
  const repaired = (first: CheckResult): void => {
    if (!options.json) print(describeRepairs(first));
  };
  const result = await orCheckFailed(session, () =>
    repair === 'none' ? checkCopy(session, node, options.isDiskAlone) : checkOpen(session, node, repair, repaired),
  );
  print(options.json ? [JSON.stringify(checkAsJson(result, filename, driver.formatName))] : describeCheck(result));
  const status = checkStatus(result);
  if (status === 1) session.error('Check failed');
  if (status === 1 || status === 2) throw new CommandFailure(Errno.EIO);
}

async function orCheckFailed(session: SessionState, body: () => Promise<CheckResult>): Promise<CheckResult> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof BlockError) || error.errno === Errno.ENOTSUP) throw error;
    session.error(error.message === strerror(error.errno) ? `Check failed: ${error.message}` : error.message);
    throw new CommandFailure(error.errno);
  }
}

/** Checks what is on disk with what is to be written: the open image does not notice. */
async function checkCopy(session: SessionState, node: BlockNode, isDiskAlone: boolean): Promise<CheckResult> {
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM);
  if (node.driver.check === undefined) throw new BlockError(Errno.ENOTSUP, 'This image format does not support checks');
  // A driver without an inspector writes all metadata at once.
  const holdsBack = node.driver.inspector !== undefined && !isDiskAlone;
  const unwritten = holdsBack ? await (await inspectorOf(node)).unwritten() : [];
  const copy = await openPeeked(node, unwritten, (line) => session.output.stderr(`${line}\n`));
  try {
    return await checkTwice(copy.top, 'none');
  } finally {
    await closeBackend(copy);
  }
}

/** Checks the open image itself, and repairs it. No request may be in flight: it would lose what it works on. */
async function checkOpen(
  session: SessionState,
  node: BlockNode,
  repair: CheckRepair,
  repaired: (first: CheckResult) => void,
): Promise<CheckResult> {
  const { image } = session;
  if (image.inFlight > 0)
    throw new BlockError(Errno.EBUSY, 'a repair needs all requests to have ended; "requests" lists them');
  if (node.isReadOnly) throw new BlockError(Errno.EROFS, 'the image is open read-only, and cannot be repaired');
  image.addPermissions(Perm.WRITE | Perm.RESIZE);
  await image.flush();
  const result = await checkTwice(node, repair, repaired);
  await image.flush();
  return result;
}
