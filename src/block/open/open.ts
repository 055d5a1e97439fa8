/** Opening an image: from a name and options to a backend on top of a graph of nodes. */
import { Errno } from '../../util/errno.ts';
import type { BlockBackend } from '../backend.ts';
import { BlockError, invalidArgument } from '../error.ts';
import { Open, Perm, Role } from '../flags.ts';
import {
  attachBackend,
  attachChild,
  attachRoot,
  detachChild,
  requireNode,
  releaseNode,
  unnamedDevice,
} from '../graph/graph.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import type { GraphContext } from '../graph/context.ts';
import { inheritFrom, type Inheritance, inheritOptions } from '../options/node-options.ts';
import { openBacking } from './backing.ts';
import { openDriver } from './node-driver.ts';
import { fillOptions, takeJsonName } from './inherit.ts';
import { Options, takeSub } from '../options/options.ts';
import type { Driver, RegisteredDriver } from '../driver.ts';
import { findImageFormat } from './probe.ts';
import { isProtocol } from './driver-table.ts';
import { makeOverlay, overlaySettings } from './overlay.ts';

/** An image to open: by name, by options, or by both. */
export interface OpenRequest {
  readonly filename: string | null;
  /** Used up. */
  readonly options: Options | null;
  /** Bits of `Open`. */
  readonly flags: number;
}

/**
 * Opens an image and everything below it. The message of the `BlockError` thrown is what follows "can't open: ";
 * nothing is left open then.
 */
export async function openBackend(context: GraphContext, request: OpenRequest): Promise<BlockBackend> {
  const { filename, options, flags } = request;
  const node = await openNode(context, { filename, reference: null, options, flags, from: null });
  const reads = (flags & Open.NO_IO) === 0;
  const writes = reads && (flags & Open.READ_WRITE) !== 0;
  return attachBackend(node, (reads ? Perm.CONSISTENT_READ : 0) | (writes ? Perm.WRITE : 0), Perm.ALL);
}

interface ChildSettings {
  readonly filename?: string | undefined;
  readonly isPlain?: boolean;
}

/**
 * Opens a child as `options` say: `name` refers to a node, or `name.*` describe a new one. Takes these options out.
 * Null without any of them, and without `settings.filename`, if `settings.allowNone`; otherwise EINVAL. A name with
 * `isPlain` is that of a file, whatever it looks like: it comes from an image, which may be hostile.
 * Sets `parent.file` or `parent.backing` by the role.
 */
export async function openChild(
  parent: BlockNode,
  options: Options,
  name: string,
  role: number,
  settings?: ChildSettings & { allowNone?: false },
): Promise<ChildLink>;
export async function openChild(
  parent: BlockNode,
  options: Options,
  name: string,
  role: number,
  settings: ChildSettings & { allowNone: true },
): Promise<ChildLink | null>;
export async function openChild(
  parent: BlockNode,
  options: Options,
  name: string,
  role: number,
  settings: ChildSettings & { allowNone?: boolean } = {},
): Promise<ChildLink | null> {
  const from = inheritFrom(parent, role);
  const given = { filename: settings.filename ?? null, isPlain: settings.isPlain };
  const child = await openChildNode(parent.context, options, name, from, given);
  if (child !== null) return attachChild(parent, child, name, role);
  if (settings.allowNone === true) return null;
  throw invalidArgument(`A block device must be specified for "${name}"`);
}

/** Opens the child that a format or a filter is about, as `parent.file`. EINVAL if there is none. */
export async function openFileChild(
  parent: BlockNode,
  options: Options,
  name: string,
  filename?: string,
): Promise<ChildLink> {
  const role = parent.driver.isFilter === true ? Role.FILTERED | Role.PRIMARY : Role.IMAGE;
  return openChild(parent, options, name, role, { filename });
}

async function openChildNode(
  context: GraphContext,
  options: Options,
  name: string,
  from: Inheritance,
  { filename, isPlain }: { readonly filename: string | null; readonly isPlain?: boolean | undefined },
): Promise<BlockNode | null> {
  const childOptions = takeSub(options, `${name}.`);
  const reference = options.getString(name) ?? null;
  options.delete(name);
  if (filename === null && reference === null && childOptions.size === 0) return null;
  return openNode(context, { filename, reference, options: childOptions, flags: 0, from, isPlain });
}

/** A node to open below another one or below a backend. */
export interface NodeRequest {
  readonly filename: string | null;
  /** The name has neither a prefix nor options in it. */
  readonly isPlain?: boolean | undefined;
  /** The name of an open node to use instead of opening one. */
  readonly reference: string | null;
  readonly options: Options | null;
  /** Bits of `Open`, for a node that inherits from none. */
  readonly flags: number;
  readonly from: Inheritance | null;
}

/** Opens a node that another one is about to stand on. The caller owns one reference to it. */
export type NodeOpener = (context: GraphContext, request: NodeRequest) => Promise<BlockNode>;

/** Nodes over each other. */
const MAX_DEPTH = 500;

/** Opens a node, or finds an open one. The caller owns one reference to it. */
async function openNode(context: GraphContext, request: NodeRequest): Promise<BlockNode> {
  const { reference, from, isPlain = false } = request;
  if (reference !== null) return referencedNode(context, request, reference);

  const options = request.options ?? new Options();
  let filename = isPlain ? request.filename : await takeJsonName(request.filename, options);
  checkDepth(from?.parent ?? null, options);
  const explicitOptions = options.clone();
  let flags = from === null ? request.flags : inheritOptions(options, from);
  const filled = fillOptions(context.drivers, options, { filename, isPlain }, flags);
  ({ flags } = filled);
  filename = filled.filename;
  flags = isOn(options, 'read-only') ? flags & ~Open.READ_WRITE : flags | Open.READ_WRITE | Open.ALLOW_READ_WRITE;

  if ((flags & Open.SNAPSHOT) === 0) {
    return openImage(context, { filename, options, explicitOptions, flags, driver: filled.driver, from });
  }
  const overlay = overlaySettings(flags, options);
  // The image itself becomes a backing file, read-only by default.
  options.delete('read-only');
  flags = inheritOptions(options, { parent: null, parentIsFormat: true, flags, options, role: Role.COW });
  const image = await openImage(context, { filename, options, explicitOptions, flags, driver: filled.driver, from });
  return putOverlayOn(image, overlay);
}

/** Refuses a graph that is, or would become, too deep: it would take long and much stack (qemu-io 7.2 crashes). */
function checkDepth(parent: BlockNode | null, options: Options): void {
  let depth = 1;
  for (let node = parent; node !== null; node = node.inheritsFrom) depth += 1;
  let names = 0;
  for (const key of options.keys()) if (key.length > names) names = Math.max(names, key.split('.').length);
  if (Math.max(depth, names) > MAX_DEPTH) {
    throw new BlockError(Errno.EMFILE, `More than ${MAX_DEPTH} nodes, each over the next`);
  }
}

function referencedNode(context: GraphContext, request: NodeRequest, reference: string): BlockNode {
  if (request.filename !== null || (request.options?.size ?? 0) > 0) {
    throw invalidArgument('Cannot reference an existing block device with additional options or a new filename');
  }
  const node = requireNode(context, reference, reference);
  node.references += 1;
  return node;
}

/** Whether an option that has not been parsed yet is clearly on; a text that means the same is looked at later. */
function isOn(options: Options, key: string): boolean {
  const value = options.get(key);
  return value === 'on' || value === true;
}

interface ImageRequest {
  readonly filename: string | null;
  /** All options, with what was inherited. */
  readonly options: Options;
  readonly explicitOptions: Options;
  readonly flags: number;
  /** Null if it is to be found by probing. */
  readonly driver: RegisteredDriver | null;
  readonly from: Inheritance | null;
}

async function openImage(context: GraphContext, request: ImageRequest): Promise<BlockNode> {
  const { options, explicitOptions, filename } = request;
  const flags = request.flags | suppressBacking(context, options, explicitOptions);
  const rest = options.clone();

  const isReference = rest.getString('file') !== undefined;
  const file = (flags & Open.PROTOCOL) === 0 ? await openForProbing(context, rest, filename, request) : null;
  let node: BlockNode;
  try {
    if (file !== null) rest.set('file', file.node.nodeName);
    const driver = request.driver ?? (await probedDriver(file, filename));
    options.set('driver', driver.formatName);
    rest.set('driver', driver.formatName);
    node = await openDriver(context, driver, {
      options,
      explicitOptions,
      rest,
      flags: request.flags,
      file: file?.node ?? null,
      adoptsFile: !isReference,
      probed: request.driver === null,
      inheritsFrom: request.from?.parent ?? null,
    });
  } finally {
    if (file !== null) await detachChild(file);
  }

  try {
    if ((flags & Open.NO_BACKING) === 0) await openBacking(node, rest, openNode);
    forgetChildOptions(node);
    checkNothingLeft(node.driver, rest);
  } catch (error) {
    await releaseNode(node);
    throw error;
  }
  return node;
}

/** Takes `backing: null` out of the options; the result is the flag that stands for it, or none. */
function suppressBacking(context: GraphContext, options: Options, explicitOptions: Options): number {
  const backing = options.get('backing');
  if (backing !== null && backing !== '') return 0;
  if (backing === '') {
    context.report('warning: Use of "backing": "" is deprecated; use "backing": null instead');
  }
  options.delete('backing');
  explicitOptions.delete('backing');
  return Open.NO_BACKING;
}

/** Opens the file below a format, so that its first bytes can be read; null if the options describe none. */
async function openForProbing(
  context: GraphContext,
  rest: Options,
  filename: string | null,
  request: ImageRequest,
): Promise<ChildLink | null> {
  // A node that has yet to find its format will be one.
  const from: Inheritance = {
    parent: null,
    parentIsFormat: true,
    flags: request.flags,
    options: request.options,
    role: Role.IMAGE,
  };
  const node = await openChildNode(context, rest, 'file', from, { filename });
  if (node === null) return null;
  return attachRoot(node, unnamedDevice, 0, Perm.ALL);
}

async function probedDriver(file: ChildLink | null, filename: string | null): Promise<RegisteredDriver> {
  if (file === null) throw invalidArgument('Must specify either driver or file');
  return findImageFormat(file, filename ?? '');
}

/** The options of children are theirs; what a child is called by name is known from the graph. */
function forgetChildOptions(node: BlockNode): void {
  for (const { name } of node.children) {
    for (const options of [node.options, node.explicitOptions]) {
      takeSub(options, `${name}.`);
      options.delete(name);
    }
  }
}

function checkNothingLeft(driver: Driver, rest: Options): void {
  const [key] = rest.orderedKeys();
  if (key === undefined) return;
  const message = isProtocol(driver)
    ? `Block protocol '${driver.formatName}' doesn't support the option '${key}'`
    : `Block format '${driver.formatName}' does not support the option '${key}'`;
  throw invalidArgument(message);
}

/** Puts a temporary overlay on an image, whose reference it takes over. The result is the overlay's node. */
async function putOverlayOn(image: BlockNode, settings: { flags: number; options: Options }): Promise<BlockNode> {
  const { flags, options } = settings;
  let top: BlockNode;
  try {
    const overlay = await makeOverlay(image.context, image.getLength());
    try {
      options.set('file.driver', 'file');
      options.set('file.filename', overlay.filename);
      options.set('driver', 'qcow2');
      top = await openNode(image.context, { filename: null, reference: null, options, flags, from: null });
    } finally {
      overlay.remove();
    }
  } catch (error) {
    await releaseNode(image);
    throw error;
  }
  try {
    await attachChild(top, image, 'backing', Role.COW);
  } catch (error) {
    await releaseNode(top);
    throw error;
  }
  return top;
}
