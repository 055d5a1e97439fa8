/** File names: protocol prefixes, absolute and relative paths, and where a backing file is looked for. */
import { invalidArgument } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import type { Options } from '../options/options.ts';
import { refreshFilename } from '../graph/refresh-filename.ts';

/** Whether a name begins with "protocol:": it has a colon before the first slash. */
export function hasProtocol(filename: string): boolean {
  return /^[^:/]*:/.test(filename);
}

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

/**
 * For drivers' `parseFilename`: puts `filename` without `prefix` into `options`, if it begins with it. What then looks
 * like another protocol is protected by "../".
 */
export function stripProtocol(filename: string, prefix: string, options: Options): void {
  if (!filename.startsWith(prefix)) return;
  const stripped = filename.slice(prefix.length);
  options.set('filename', hasProtocol(stripped) ? `./${stripped}` : stripped);
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
