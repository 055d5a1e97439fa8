/** The version that `--version` prints and recordings carry. */

declare const __BLKSCOPE_VERSION__: string | undefined;

/** The version of qemu-io whose behaviour is the measure; scripts look for it. */
const QEMU_VERSION = '7.2';

function version(): string {
  return typeof __BLKSCOPE_VERSION__ === 'string' ? __BLKSCOPE_VERSION__ : 'source';
}

/** The version of qemu-io whose behaviour this is, then our own. */
export function versionText(): string {
  return `qemu-io version ${QEMU_VERSION} (blkscope ${version()})\n`;
}
