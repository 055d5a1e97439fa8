/** `aio_flush`: waits until every request has ended. */
import { Errno } from '../../util/errno.ts';
import { beginQuiet, endQuiet } from '../../block/graph/quiet.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';

export const aioFlush = {
  name: 'aio_flush',
  oneline: 'completes all outstanding aio requests',
  minArgs: 0,
  maxArgs: 0,
  needsFile: true,
  polls: true,
  async run(session) {
    const nodes = await beginQuiet(session.top);
    try {
      if (await session.background.drain()) return;
    } finally {
      endQuiet(nodes);
    }
    if (session.wasInterrupted) throw new CommandFailure(Errno.EINTR);
    // qemu-io waits for ever here.
    session.error('aio_flush: some requests cannot end before others are resumed');
    for (const line of session.suspendedLines()) session.error(`aio_flush: ${line}`);
    throw new CommandFailure(Errno.EBUSY);
  },
} satisfies Command;
