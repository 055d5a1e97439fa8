/** The graph of nodes: their names, the links between them, and how they are closed. */
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { BlockBackend } from '../backend.ts';
import { BlockError, invalidArgument } from '../error.ts';
import { Open, Role } from '../flags.ts';
import { refreshLimitsIfPossible } from './limits.ts';
import type { BlockNode, ChildLink, Parent } from './node.ts';
import type { GraphContext } from './context.ts';
import { isIdentifier } from '../options/options.ts';
import { subtree } from './chain.ts';
import { childPermissions, cumulativePermissions, refreshPermissions, relaxSubtree } from './permissions.ts';
import { refreshFilename } from './refresh-filename.ts';
import { flush } from '../request/flush.ts';
import { Transaction } from './transaction.ts';

const MAX_NODE_NAME_BYTES = 31;

/**
 * A name for a new node: the one that the user chose, checked, or a generated one. QEMU ends those with two random
 * digits, so that users do not rely on them; here the digits follow from the number, so that a run can be repeated.
 */
export function chooseNodeName(context: GraphContext, wanted: string | undefined): string {
  if (wanted === undefined) {
    const number = context.nextNodeNumber++;
    return `#block${number}${String((number * 37 + 22) % 100).padStart(2, '0')}`;
  }
  if (!isIdentifier(wanted)) throw invalidArgument(`Invalid node-name: '${wanted}'`);
  if (context.nodes.has(wanted)) throw invalidArgument(`Duplicate nodes with node-name='${wanted}'`);
  if (Buffer.byteLength(wanted) > MAX_NODE_NAME_BYTES) throw invalidArgument('Node name too long');
  return wanted;
}

/** Makes a node known by its name, until it is closed. */
export function registerNode(node: BlockNode): void {
  node.context.nodes.set(node.nodeName, node);
}

/** The node of this name, or null. */
export function findNode(context: GraphContext, name: string): BlockNode | null {
  return context.nodes.get(name) ?? null;
}

/** The node of this name; ENODEV if there is none. `device` is what the message says of a device of that name. */
export function requireNode(context: GraphContext, name: string, device: string): BlockNode {
  const node = findNode(context, name);
  if (node !== null) return node;
  throw new BlockError(Errno.ENODEV, `Cannot find device='${device}' nor node-name='${name}'`);
}

/** Whether `target` is `node` or below it. */
export function reaches(node: BlockNode, target: BlockNode): boolean {
  return node === target || node.children.some((child) => reaches(child.node, target));
}

function asParent(node: BlockNode): Parent {
  return { description: `node '${node.nodeName}'`, node };
}

/**
 * Links `child` under `parent`, and sets `parent.file` or `parent.backing` by the role. The caller's reference to
 * `child` goes over to the link, or is given back if this throws: for a cycle, or permissions that conflict.
 */
export async function attachChild(parent: BlockNode, child: BlockNode, name: string, role: number): Promise<ChildLink> {
  const transaction = new Transaction();
  try {
    const link = stageAttach(parent, child, name, role, transaction);
    refreshPermissions(subtree([parent]), transaction);
    transaction.commit();
    return link;
  } catch (error) {
    transaction.abort();
    await releaseNode(child);
    throw error;
  }
}

/** The first half of `attachChild`, without permissions of others. An abort takes the link away, not the reference. */
function stageAttach(
  parent: BlockNode,
  child: BlockNode,
  name: string,
  role: number,
  transaction: Transaction,
): ChildLink {
  if (reaches(child, parent)) {
    throw invalidArgument(`Making '${child.nodeName}' a ${name} child of '${parent.nodeName}' would create a cycle`);
  }
  const link: ChildLink = { name, parent: asParent(parent), node: child, role, perm: 0, shared: 0 };
  const { perm, shared } = cumulativePermissions(parent);
  Object.assign(link, childPermissions(parent, link, perm, shared));
  insertLink(link);
  transaction.onAbort(() => removeLink(link));
  return link;
}

/** Takes a link away until the end of the transaction; committed, its node is in `transaction.released`. */
function stageDetach(link: ChildLink, transaction: Transaction): void {
  const parent = link.parent.node;
  const position = parent === null ? 0 : parent.children.indexOf(link);
  const inheritors = parent === null ? [] : forgetInheritance(parent, link);
  removeLink(link);
  transaction.onAbort(() => {
    insertLink(link, position);
    for (const node of inheritors) node.inheritsFrom = parent;
  });
  transaction.onCommit(() => transaction.released.push(link.node));
}

/** Takes a link away and gives back its reference; the node is closed if it was the last. */
export async function detachChild(link: ChildLink): Promise<void> {
  if (link.parent.node !== null) forgetInheritance(link.parent.node, link);
  removeLink(link);
  relaxSubtree(link.node);
  await releaseNode(link.node);
}

function insertLink(link: ChildLink, position = 0): void {
  link.node.parents.unshift(link);
  const parent = link.parent.node;
  if (parent === null) return;
  parent.children.splice(position, 0, link);
  parent.height = Math.max(parent.height, link.node.height + 1);
  findPrimary(parent);
  if ((link.role & Role.COW) !== 0) {
    parent.backing = link;
    refreshFilename(link.node);
    parent.openFlags &= ~Open.NO_BACKING;
  } else if ((link.role & Role.PRIMARY) !== 0) {
    parent.file = link;
  }
}

function removeLink(link: ChildLink): void {
  remove(link.node.parents, link);
  const parent = link.parent.node;
  if (parent === null) return;
  remove(parent.children, link);
  findPrimary(parent);
  if (parent.backing === link) parent.backing = null;
  else if (parent.file === link) parent.file = null;
}

function findPrimary(node: BlockNode): void {
  node.primaryChild = node.children.find((child) => (child.role & Role.PRIMARY) !== 0) ?? null;
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}

/** Nodes that inherit options from `parent` through `link` no longer do, unless another link of it leads there. */
function forgetInheritance(parent: BlockNode, link: ChildLink): BlockNode[] {
  const forgotten: BlockNode[] = [];
  const visit = (child: ChildLink): void => {
    const isHeldOtherwise = parent.children.some((other) => other !== child && other.node === child.node);
    if (child.node.inheritsFrom === parent && !isHeldOtherwise) {
      child.node.inheritsFrom = null;
      forgotten.push(child.node);
    }
    for (const below of child.node.children) visit(below);
  };
  visit(link);
  return forgotten;
}

/** Replaces `parent.file` or `parent.backing`; `child` null takes it away. `child` gets a reference of its own. */
export function stageReplace(
  parent: BlockNode,
  child: BlockNode | null,
  name: 'file' | 'backing',
  transaction: Transaction,
): void {
  const old = name === 'backing' ? parent.backing : parent.file;
  const isBacking = name === 'backing';
  const isFilter = parent.driver.isFilter === true;
  if (isBacking && !isFilter && parent.driver.supportsBacking !== true) {
    throw invalidArgument(
      `Driver '${parent.driver.formatName}' of node '${parent.nodeName}' does not support backing files`,
    );
  }
  if (!isBacking && !isFilter && old === null) {
    throw invalidArgument('Cannot set file child to format node without file child');
  }
  const filterRole = Role.FILTERED | Role.PRIMARY;
  const role = isFilter ? filterRole : isBacking ? Role.COW : (old?.role ?? filterRole);
  const inherits = child !== null && inheritsIndirectly(child, parent);
  if (old !== null) stageDetach(old, transaction);
  if (child !== null) {
    child.references += 1;
    transaction.onAbort(() => transaction.released.push(child));
    stageAttach(parent, child, name, role, transaction);
    if (inherits) setInheritance(child, parent, transaction);
  }
  const { limits } = parent;
  transaction.onAbort(() => {
    parent.limits = limits;
  });
  refreshLimitsIfPossible(parent);
}

function inheritsIndirectly(child: BlockNode, parent: BlockNode): boolean {
  let node: BlockNode | null = child;
  while (node !== null && node !== parent) node = node.inheritsFrom;
  return node !== null;
}

function setInheritance(child: BlockNode, parent: BlockNode, transaction: Transaction): void {
  const old = child.inheritsFrom;
  transaction.onAbort(() => {
    child.inheritsFrom = old;
  });
  child.inheritsFrom = parent;
}

/** The parent of a node that a backend or a search for the format holds, as messages call it. */
export const unnamedDevice: Parent = { description: 'an unnamed block device', node: null };

/**
 * Links a node under something that is no node. The caller's reference goes over to the link, or is given back if this
 * throws because of permissions.
 */
export async function attachRoot(node: BlockNode, parent: Parent, perm: number, shared: number): Promise<ChildLink> {
  const link: ChildLink = { name: 'root', parent, node, role: Role.FILTERED | Role.PRIMARY, perm, shared };
  const transaction = new Transaction();
  insertLink(link);
  transaction.onAbort(() => removeLink(link));
  try {
    refreshPermissions(subtree([node]), transaction);
  } catch (error) {
    transaction.abort();
    await releaseNode(node);
    throw error;
  }
  transaction.commit();
  return link;
}

/** A backend on top of a node, whose reference it takes over, or gives back if this throws. */
export async function attachBackend(node: BlockNode, perm: number, shared: number): Promise<BlockBackend> {
  const link = await attachRoot(node, unnamedDevice, perm, shared);
  return node.context.makeBackend?.(link) ?? new BlockBackend(link);
}

/** Closes a backend, and every node without another parent. Its requests must have been drained. */
export async function closeBackend(backend: BlockBackend): Promise<void> {
  assert(backend.inFlight === 0, 'a backend that is closed has no request in flight');
  await detachChild(backend.root);
}

/** Gives back a reference; the last one closes the node. */
export async function releaseNode(node: BlockNode): Promise<void> {
  node.references -= 1;
  if (node.references === 0) await closeNode(node);
}

/** Flushes and closes a node, then releases its children, newest first. Errors of the flush are lost, as in QEMU. */
async function closeNode(node: BlockNode): Promise<void> {
  const { nodes } = node.context;
  if (nodes.get(node.nodeName) === node) nodes.delete(node.nodeName);
  try {
    if (!node.closed) {
      await node.driver.drainBegin?.(node);
      await flushBeforeClose(node);
      // Flushing may have found that the image is corrupt, and ended it.
      if (!node.closed) await node.driver.close?.(node);
    }
  } finally {
    node.closed = true;
    for (let child = node.children[0]; child !== undefined; child = node.children[0]) await detachChild(child);
  }
}

async function flushBeforeClose(node: BlockNode): Promise<void> {
  try {
    await flush(node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
