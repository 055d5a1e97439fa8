/** File names: absolute and relative paths, and where a backing file is looked for. */
import { invalidArgument } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import { refreshFilename } from '../graph/refresh-filename.ts';
import { hasProtocol } from './protocol-prefix.ts';

function isAbsolute(filename: string): boolean {
  return filename.startsWith('/');
}

/** `filename` seen from the folder of `base`; base's protocol prefix stays. */
function combinePaths(base: string, filename: string): string {
  if (isAbsolute(filename)) return filename;
  const afterProtocol = hasProtocol(base) ? base.indexOf(':') + 1 : 0;
  const afterFolder = base.lastIndexOf('/') + 1;
  return base.slice(0, Math.max(afterProtocol, afterFolder)) + filename;
}

/** The folder of a node's image, with a slash at its end. EINVAL if there is none. */
export function folderOf(node: BlockNode): string {
  if (node.driver.folder !== undefined) return node.driver.folder(node);
  const primary = node.primaryChild;
  if (primary !== null) return folderOf(primary.node);
  refreshFilename(node);
  if (node.exactFilename !== '') return combinePaths(node.exactFilename, '');
  throw invalidArgument(`Cannot generate a base directory for ${node.driver.formatName} nodes`);
}

/** The backing file of a node as a name that can be opened from here; null if it has none. */
export function fullBackingFilename(node: BlockNode): string | null {
  const backing = node.backingFilename;
  if (backing === '') return null;
  if (hasProtocol(backing) || isAbsolute(backing)) return backing;
  return folderOf(node) + backing;
}
