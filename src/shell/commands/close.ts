/** `close`: closes the image. */
import type { Command } from '../command.ts';
import { closeImage } from '../image-lifecycle.ts';

export const close = {
  name: 'close',
  aliases: ['c'],
  oneline: 'close the current open file',
  minArgs: 0,
  maxArgs: 0,
  needsFile: true,
  polls: true,
  run: closeImage,
} satisfies Command;
