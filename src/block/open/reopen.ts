/**
 * Reopening: new options for a node and for all nodes that inherit from it, as a whole or not at all.
 *
 * First every node gets its new options worked out, then every driver prepares, then permissions are checked as they
 * will be; only then is anything changed.
 */
import { Errno, strerror } from '../../util/errno.ts';
import type { ReopenState } from '../driver.ts';
import { BlockError, invalidArgument, withContext } from '../error.ts';
import { Open } from '../flags.ts';
import { requireNode, reaches, releaseNode, stageReplace } from '../graph/graph.ts';
import { refreshLimitsIfPossible } from '../graph/limits.ts';
import type { BlockNode, DetectZeroes } from '../graph/node.ts';
import {
  applyDiscard,
  applyToFlags,
  detectZeroesMode,
  type GenericOptions,
  inheritFrom,
  inheritOptions,
  takeGenericOptions,
} from '../options/node-options.ts';
import { Options, optionText, type OptionValue, takeSub } from '../options/options.ts';
import { subtree } from '../graph/chain.ts';
import { checkReadOnlyChange, refreshPermissions } from '../graph/permissions.ts';
import { refreshFilename } from '../graph/refresh-filename.ts';
import { flush } from '../request/flush.ts';
import { Transaction } from '../graph/transaction.ts';

interface QueueEntry {
  readonly node: BlockNode;
  options: Options;
  explicitOptions: Options;
  flags: number;
  detectZeroes: DetectZeroes;
  /** The user wants options reset, and gave no `backing`. */
  backingIsMissing: boolean;
  /** The state that the driver has prepared; null until it has. */
  state: ReopenState<unknown> | null;
  readonly replaced: BlockNode[];
}

/**
 * Gives a node new options: `options` count most; what they leave out stays as it is with `keepOldOptions`, or goes
 * back to its default. Requests must have been drained. Throws what a driver or a user objects to, and changes nothing
 * then.
 */
export async function reopenNode(node: BlockNode, options: Options, keepOldOptions: boolean): Promise<void> {
  const queue: QueueEntry[] = [];
  enqueue(queue, node, options, keepOldOptions, null);
  const transaction = new Transaction();
  for (const entry of queue) await entry.node.driver.drainBegin?.(entry.node);
  try {
    for (const entry of queue) await flushEntry(entry);
    for (const entry of queue) entry.node.reopenFlags = entry.flags;
    for (const entry of queue) await prepare(entry, transaction);
    refreshPermissions(subtree(queue.flatMap((entry) => [entry.node, ...entry.replaced])), transaction);
    // Children first: a parent may write to them in its own commit.
    for (const entry of [...queue].reverse()) commit(entry);
    transaction.commit();
    // Only now a file has the descriptor that its new flags ask for, and with it perhaps another alignment.
    for (const entry of [...queue].reverse()) refreshLimitsIfPossible(entry.node);
  } catch (error) {
    transaction.abort();
    for (const entry of queue) if (entry.state !== null) entry.node.driver.reopenAbort?.(entry.state);
    for (const { node: quiet } of queue) quiet.driver.drainEnd?.(quiet);
    throw error;
  } finally {
    for (const entry of queue) entry.node.reopenFlags = null;
    for (const released of transaction.released) await releaseNode(released);
  }
  for (const { node } of queue) {
    await node.driver.afterReopen?.(node);
    node.driver.drainEnd?.(node);
  }
}

interface ReopenParent {
  readonly node: BlockNode;
  readonly role: number;
  readonly options: Options;
  readonly flags: number;
}

/** Works out the options and flags of a node and of the nodes below that inherit from it. */
function enqueue(
  queue: QueueEntry[],
  node: BlockNode,
  options: Options,
  keepOldOptions: boolean,
  parent: ReopenParent | null,
): void {
  const known = queue.find((entry) => entry.node === node);
  // What counts, from the most to the least: options given now, those given before, inherited ones, effective ones.
  if (known !== undefined || keepOldOptions) join(node, options, known?.explicitOptions ?? node.explicitOptions);
  const explicitOptions = options.clone();
  let flags = node.openFlags;
  if (parent !== null) {
    const from = inheritFrom(parent.node, parent.role);
    flags = inheritOptions(options, { ...from, options: parent.options, flags: parent.flags });
  }
  if (keepOldOptions) join(node, options, node.options);
  flags = applyToFlags(flags, genericOptionsOf(options)) & ~Open.PROTOCOL;
  if ((flags & Open.READ_WRITE) !== 0) flags |= Open.ALLOW_READ_WRITE;

  const backingIsMissing = !keepOldOptions && !options.has('backing') && !options.has('backing.driver');
  if (known === undefined) {
    const fresh = { detectZeroes: node.detectZeroes, state: null, replaced: [] };
    queue.push({ node, options, explicitOptions, flags, backingIsMissing, ...fresh });
  } else {
    Object.assign(known, { options, explicitOptions, flags, backingIsMissing });
  }

  for (const child of node.children) {
    // Only a node that was opened for this parent takes options from it.
    if (child.node.inheritsFrom !== node) continue;
    let childOptions = new Options();
    let keepChildOptions = keepOldOptions;
    if (options.has(child.name)) {
      if (options.get(child.name) !== child.node.nodeName) continue;
      keepChildOptions = true;
    } else {
      takeSub(explicitOptions, `${child.name}.`);
      childOptions = takeSub(options, `${child.name}.`);
    }
    enqueue(queue, child.node, childOptions, keepChildOptions, { node, role: child.role, options, flags });
  }
}

/** Fills up new options with old ones, as the driver does it: some of them belong together. */
function join(node: BlockNode, options: Options, old: Options): void {
  if (node.driver.joinOptions === undefined) options.join(old);
  else node.driver.joinOptions(options, old.clone());
}

/** The generic options, without taking them; a bad value is complained about when they are taken. */
function genericOptionsOf(options: Options): GenericOptions {
  try {
    return takeGenericOptions(options.clone());
  } catch (error) {
    if (error instanceof BlockError) return {};
    throw error;
  }
}

async function flushEntry(entry: QueueEntry): Promise<void> {
  await withContext('Error flushing drive', () => flush(entry.node));
}

async function prepare(entry: QueueEntry, transaction: Transaction): Promise<void> {
  const { node } = entry;
  const { driver } = node;
  const rest = entry.options.clone();
  const generic = takeGenericOptions(rest);
  entry.flags = applyDiscard(applyToFlags(entry.flags, generic), generic);
  entry.detectZeroes = detectZeroesMode(entry.flags, generic);
  // Everything else must stay as it is, and is compared in the end.
  for (const key of ['node-name', 'driver', 'force-share'] as const) {
    const value = generic[key];
    if (value !== undefined) rest.set(key, optionText(value));
  }
  checkReadOnlyChange(node, (entry.flags & Open.READ_WRITE) === 0);
  node.reopenFlags = entry.flags;

  if (driver.reopenPrepare === undefined) {
    throw new BlockError(
      Errno.EPERM,
      `Block format '${driver.formatName}' used by node '${node.nodeName}' does not support reopening files`,
    );
  }
  checkResets(node, rest);
  const state: ReopenState<unknown> = { node, flags: entry.flags, options: rest, prepared: undefined };
  await prepareDriver(node, state);
  entry.state = state;

  if (
    driver.supportsBacking === true &&
    entry.backingIsMissing &&
    (node.backing !== null || node.backingFilename !== '')
  ) {
    throw invalidArgument(`backing is missing for '${node.nodeName}'`);
  }
  for (const name of ['backing', 'file'] as const) {
    replaceChild(entry, name, rest.get(name), transaction);
    rest.delete(name);
  }
  checkUnchanged(node, rest);
}

/** Options of the driver that are left out go back to their defaults, as far as the driver can do that. */
function checkResets(node: BlockNode, options: Options): void {
  const mutable = node.driver.mutableOptions ?? [];
  for (const key of node.options.orderedKeys()) {
    if (options.has(key) || commonOptions.has(key) || mutable.includes(key)) continue;
    throw invalidArgument(`Option '${key}' cannot be reset to its default value`);
  }
}

const commonOptions: ReadonlySet<string> = new Set([
  'node-name',
  'discard',
  'cache.direct',
  'cache.no-flush',
  'read-only',
  'auto-read-only',
  'detect-zeroes',
]);

async function prepareDriver(node: BlockNode, state: ReopenState<unknown>): Promise<void> {
  try {
    await node.driver.reopenPrepare?.(state);
  } catch (error) {
    if (!(error instanceof BlockError) || error.message !== strerror(error.errno)) throw error;
    refreshFilename(node);
    throw new BlockError(error.errno, `failed while preparing to reopen image '${node.filename}'`);
  }
}

/** Puts another node in the place of `file` or `backing`, if `value` names one; null takes the backing file away. */
function replaceChild(
  entry: QueueEntry,
  name: 'file' | 'backing',
  value: OptionValue | undefined,
  transaction: Transaction,
): void {
  const { node } = entry;
  if (value === undefined || (value !== null && typeof value !== 'string')) return;
  if (value === null && name === 'file') return;
  const replacement = value === null ? null : requireNode(node.context, value, '');
  if (replacement !== null && reaches(replacement, node)) {
    throw invalidArgument(
      `Making '${replacement.nodeName}' a ${name} child of '${node.nodeName}' would create a cycle`,
    );
  }
  const old = (name === 'backing' ? node.backing : node.file)?.node ?? null;
  if (old === replacement) return;
  if (node.driver.isFilter === true && old === null) {
    throw invalidArgument(
      `'${node.nodeName}' is a ${node.driver.formatName} filter node that does not support a ${name} child`,
    );
  }
  if (old !== null) entry.replaced.push(old);
  stageReplace(node, replacement, name, transaction);
}

/** An option that nothing has taken must be unchanged. EINVAL otherwise. */
function checkUnchanged(node: BlockNode, options: Options): void {
  for (const key of options.orderedKeys()) {
    const value = options.get(key);
    const child = node.children.find(({ name }) => name === key);
    if (child !== undefined && child.node.nodeName === value) continue;
    if (!isSame(value, node.options.get(key))) {
      throw invalidArgument(`Cannot change the option '${key}'`);
    }
  }
}

/** Numbers are equal by value; values of different types never are, also where they would mean the same. */
function isSame(a: OptionValue | undefined, b: OptionValue | undefined): boolean {
  const isNumber = (value: OptionValue | undefined): boolean => typeof value === 'number' || typeof value === 'bigint';
  return a === b || (isNumber(a) && isNumber(b) && Number(a) === Number(b));
}

function commit(entry: QueueEntry): void {
  const { node, state, options, explicitOptions } = entry;
  if (state !== null) node.driver.reopenCommit?.(state);
  node.openFlags = entry.flags;
  node.detectZeroes = entry.detectZeroes;
  node.options = options;
  node.explicitOptions = explicitOptions;
  for (const name of [...node.children.map((child) => child.name), 'backing']) {
    options.delete(name);
    explicitOptions.delete(name);
  }
  refreshLimitsIfPossible(node);
}
