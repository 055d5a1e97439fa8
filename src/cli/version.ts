/** The version that `--version` prints and recordings carry. */

import type { Compat } from '../block/compat.ts';

declare const __BLKSCOPE_VERSION__: string | undefined;

/** The version of blkscope. */
export function ownVersion(): string {
  return typeof __BLKSCOPE_VERSION__ === 'string' ? __BLKSCOPE_VERSION__ : 'source';
}

/** The version of qemu-io whose behaviour this is, then our own. */
export function versionText({ version }: Compat): string {
  return `qemu-io version ${version} (blkscope ${ownVersion()})\n`;
}
