/** The name of a node: a plain file name if that alone opens the same, else `json:{…}` with all options that matter. */
import { Open } from '../flags.ts';
import { formatJson, type JsonObject } from '../options/json.ts';
import type { BlockNode } from './node.ts';

/** A longer name is cut, with "..." at its end. */
const MAX_NAME_BYTES = 4095;

/** Sets `filename`, `exactFilename` and `fullOpenOptions` of a node and of all nodes below it. */
export function refreshFilename(node: BlockNode): void {
  for (const child of node.children) refreshFilename(child.node);

  const isOverridden = (node.openFlags & Open.NO_IO) === 0 && backingIsOverridden(node);
  const tree: JsonObject = new Map();
  const hasStrongOptions = gatherStrongOptions(node, tree);
  // The oldest child last: a list is gathered from its end.
  for (const child of node.children) {
    if (child !== node.backing && node.driver.namesChild?.(child.name) === false) continue;
    if (child !== node.backing || isOverridden) putChild(tree, child.name, child.node.fullOpenOptions);
  }
  if (isOverridden && node.backing === null) tree.set('backing', null);
  node.fullOpenOptions = tree;

  const primary = node.primaryChild;
  if (node.driver.refreshFilename !== undefined) {
    node.exactFilename = '';
    node.driver.refreshFilename(node);
  } else if (primary !== null) {
    // Probing finds a format again on a plain file, as long as the user changed nothing about it. It finds no filter.
    const isPlain = primary.node.driver.protocolName !== undefined && !hasStrongOptions && !isOverridden;
    node.exactFilename = isPlain && node.driver.isFilter !== true ? primary.node.exactFilename : '';
  }
  node.filename = node.exactFilename === '' ? truncated(`json:${formatJson(tree)}`) : node.exactFilename;
}

/** Puts a child's options under its name; children of names with numbers (`children.0`) make a list. */
function putChild(tree: JsonObject, name: string, options: JsonObject): void {
  const [, list] = /^(.+)\.\d+$/.exec(name) ?? [];
  if (list === undefined) {
    tree.set(name, options);
    return;
  }
  const others = tree.get(list);
  tree.set(list, [options, ...(Array.isArray(others) ? others : [])]);
}

/** Whether the backing file is another one than the image names. */
function backingIsOverridden(node: BlockNode): boolean {
  return node.autoBackingFilename !== (node.backing === null ? '' : node.backing.node.filename);
}

/** Copies the options that tell one image from another. True if there are any besides driver and filename. */
function gatherStrongOptions(node: BlockNode, tree: JsonObject): boolean {
  const { driver, options } = node;
  let hasAny = false;
  for (const name of ['driver', 'filename', ...(driver.strongOptions ?? [])]) {
    const keys = name.endsWith('.') ? options.orderedKeys().filter((key) => key.startsWith(name)) : [name];
    for (const key of keys) {
      const value = options.get(key);
      if (value === undefined) continue;
      tree.set(key, value);
      if (name !== 'driver' && name !== 'filename') hasAny = true;
    }
  }
  if (!tree.has('driver')) tree.set('driver', driver.formatName);
  return hasAny;
}

function truncated(name: string): string {
  const bytes = Buffer.from(name);
  return bytes.length <= MAX_NAME_BYTES ? name : `${bytes.subarray(0, MAX_NAME_BYTES - 3).toString()}...`;
}
