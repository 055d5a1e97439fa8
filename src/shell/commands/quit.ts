/** `quit`: ends the program. */
import type { Command } from '../command.ts';

export const quit = {
  name: 'quit',
  aliases: ['q'],
  oneline: 'exit the program',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  run(session) {
    session.quitRequested = true;
  },
} satisfies Command;
