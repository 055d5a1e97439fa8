/**
 * Permissions: what every parent may do with a node, and what it lets the others do.
 *
 * A change at one place is carried down to all nodes below; each driver may refuse it. It is done as a whole or not at
 * all.
 */
import { Errno } from '../../util/errno.ts';
import type { BlockBackend } from '../backend.ts';
import { BlockError, invalidArgument } from '../error.ts';
import { Open, Perm, Role, SECTOR_BYTES } from '../flags.ts';
import { subtree } from './chain.ts';
import type { BlockNode, ChildLink } from './node.ts';
import { Transaction } from './transaction.ts';

/** Permissions needed on a node, and those that are left to others. Bits of `Perm`. */
export interface Permissions {
  perm: number;
  shared: number;
}

const WRITES = Perm.WRITE | Perm.WRITE_UNCHANGED;

/**
 * Changes what a backend may do with its node. Throws EPERM or EINVAL if that cannot be, and leaves the old
 * permissions; a change that only gives up rights or shares more never throws.
 */
export function setBackendPermissions(backend: BlockBackend, perm: number, shared: number): void {
  setLinkPermissions(backend.root, perm, shared);
}

/** `setBackendPermissions` for any link. */
export function setLinkPermissions(link: ChildLink, perm: number, shared: number): void {
  const tightens = (perm & ~link.perm) !== 0 || (link.shared & ~shared) !== 0;
  const transaction = new Transaction();
  stage(link, { perm, shared }, transaction);
  try {
    refreshPermissions(subtree([link.node]), transaction);
  } catch (error) {
    transaction.abort();
    if (error instanceof BlockError && !tightens) return;
    throw error;
  }
  transaction.commit();
}

/** Recomputes the permissions below a node as things stand now. Throws, and changes nothing, if they conflict. */
function refreshSubtree(node: BlockNode): void {
  const transaction = new Transaction();
  try {
    refreshPermissions(subtree([node]), transaction);
  } catch (error) {
    transaction.abort();
    throw error;
  }
  transaction.commit();
}

/**
 * `refreshSubtree` after something was taken away, which cannot make a conflict: a refusal changes nothing, and is
 * ignored.
 */
export function relaxSubtree(node: BlockNode): void {
  try {
    refreshSubtree(node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

/** Checks and sets the permissions of `nodes`, which come parents first. The caller ends the transaction. */
export function refreshPermissions(nodes: readonly BlockNode[], transaction: Transaction): void {
  for (const node of nodes) {
    checkConflicts(node);
    refreshNode(node, transaction);
  }
}

function refreshNode(node: BlockNode, transaction: Transaction): void {
  const { perm, shared } = cumulativePermissions(node);
  if ((perm & WRITES) !== 0) checkWritable(node, perm);
  const { driver } = node;
  driver.checkPermissions?.(node, perm, shared);
  transaction.onAbort(() => driver.abortPermissions?.(node));
  transaction.onCommit(() => {
    if (driver.setPermissions === undefined) return;
    const final = cumulativePermissions(node);
    driver.setPermissions(node, final.perm, final.shared);
  });
  for (const child of node.children) stage(child, childPermissions(node, child, perm, shared), transaction);
}

function stage(link: ChildLink, next: Permissions, transaction: Transaction): void {
  const { perm, shared } = link;
  transaction.onAbort(() => {
    link.perm = perm;
    link.shared = shared;
  });
  link.perm = next.perm;
  link.shared = next.shared;
}

function checkWritable(node: BlockNode, perm: number): void {
  if (!isWritable(flagsAfterReopen(node))) {
    const message = isWritable(node.openFlags)
      ? `Read-only block node '${node.nodeName}' cannot support read-write users`
      : 'Block node is read-only';
    throw new BlockError(Errno.EPERM, message);
  }
  // A write is widened to the alignment; at the end of the image that could need a resize.
  const isRagged = (node.totalSectors * SECTOR_BYTES) % node.limits.requestAlignment !== 0;
  if ((perm & Perm.RESIZE) === 0 && isRagged) {
    throw new BlockError(
      Errno.EPERM,
      "Cannot get 'write' permission without 'resize': Image size is not a multiple of request alignment",
    );
  }
}

/** Every parent must allow what every other one needs. */
function checkConflicts(node: BlockNode): void {
  for (const owner of node.parents) {
    for (const user of node.parents) {
      const missing = user.perm & ~owner.shared;
      if (owner === user || missing === 0) continue;
      const place = (link: ChildLink): string => `(uses node '${node.nodeName}' as '${link.name}' child)`;
      throw invalidArgument(
        `Permission conflict on node '${node.nodeName}': permissions '${permissionNames(missing)}' are both required ` +
          `by ${user.parent.description} ${place(user)} and unshared by ${owner.parent.description} ${place(owner)}.`,
      );
    }
  }
}

/** The permissions that all parents of a node need together, and those that all of them share. */
export function cumulativePermissions(node: BlockNode): Permissions {
  let perm = 0;
  let shared: number = Perm.ALL;
  for (const link of node.parents) {
    perm |= link.perm;
    shared &= link.shared;
  }
  return { perm, shared };
}

/** The permissions that `parent` needs on a child when its own users have these permissions on it. */
export function childPermissions(parent: BlockNode, child: ChildLink, perm: number, shared: number): Permissions {
  const { driver } = parent;
  const wanted =
    driver.childPermissions === undefined
      ? defaultPermissions(parent, child, child.role, perm, shared)
      : driver.childPermissions(parent, child, child.role, perm, shared);
  return child.node.forceShare ? { perm: wanted.perm, shared: Perm.ALL } : wanted;
}

/** The usual permissions on a child by its role, for drivers' `childPermissions`. */
export function defaultPermissions(
  node: BlockNode,
  _child: ChildLink | null,
  role: number,
  perm: number,
  shared: number,
): Permissions {
  if ((role & Role.FILTERED) !== 0) return { perm, shared };
  if ((role & Role.COW) !== 0) return backingPermissions(perm, shared);
  return storagePermissions(node, role, perm, shared);
}

/** A backing file is only read. It may change if that is no matter to the users of the overlay. */
function backingPermissions(perm: number, shared: number): Permissions {
  const changes = (shared & Perm.WRITE) === 0 ? 0 : Perm.WRITE | Perm.RESIZE;
  return { perm: perm & Perm.CONSISTENT_READ, shared: changes | Perm.CONSISTENT_READ | Perm.WRITE_UNCHANGED };
}

function storagePermissions(node: BlockNode, role: number, parentPerm: number, parentShared: number): Permissions {
  const flags = flagsAfterReopen(node);
  let perm = parentPerm;
  let shared = parentShared;
  if ((role & Role.METADATA) !== 0) {
    // Metadata is written also when the guest does not write, and must not change under the driver.
    if (isWritable(flags)) perm |= Perm.WRITE | Perm.RESIZE;
    if ((flags & Open.NO_IO) === 0) perm |= Perm.CONSISTENT_READ;
    shared &= ~(Perm.WRITE | Perm.RESIZE);
  }
  if ((role & Role.DATA) !== 0) {
    // A format relies on the length of its file, and grows it by writing.
    shared &= ~Perm.RESIZE;
    if ((perm & Perm.WRITE_UNCHANGED) !== 0) perm |= Perm.WRITE;
    if ((perm & Perm.WRITE) !== 0) perm |= Perm.RESIZE;
  }
  return { perm, shared };
}

const names: readonly (readonly [number, string])[] = [
  [Perm.CONSISTENT_READ, 'consistent read'],
  [Perm.WRITE, 'write'],
  [Perm.WRITE_UNCHANGED, 'write unchanged'],
  [Perm.RESIZE, 'resize'],
];

/** Permissions as messages name them. */
export function permissionNames(perm: number): string {
  return names
    .filter(([bit]) => (perm & bit) !== 0)
    .map(([, name]) => name)
    .join(', ');
}

function flagsAfterReopen(node: BlockNode): number {
  return node.reopenFlags ?? node.openFlags;
}

function isWritable(flags: number): boolean {
  return (flags & Open.READ_WRITE) !== 0;
}

/** Throws EINVAL if a node must not become read-only. */
export function checkReadOnlyChange(node: BlockNode, readOnly: boolean): void {
  if (readOnly && node.copyOnRead > 0) {
    throw invalidArgument(`Can't set node '${node.nodeName}' to r/o with copy-on-read enabled`);
  }
}
