/** `alloc`: counts the allocated bytes of a range. */
import { errnoOf } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import type { Answer } from '../../util/steps.ts';
import { strerror } from '../../util/errno.ts';
import { formatSize } from '../../util/format.ts';
import { sizeArgument } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';

export const alloc = {
  name: 'alloc',
  aliases: ['a'],
  args: 'offset [count]',
  oneline: 'checks if offset is allocated in the file',
  minArgs: 1,
  maxArgs: 2,
  needsFile: true,
  operands: ['offset', 'length'],
  run: runAlloc,
} satisfies Command;

async function runAlloc(session: SessionState, [, offsetText = '', countText]: string[]): Promise<void> {
  const start = Number(sizeArgument(session, offsetText));
  const wanted = countText === undefined ? SECTOR_BYTES : Number(sizeArgument(session, countText));
  const { image } = session;

  let looked = 0;
  let allocatedBytes = 0;
  while (looked < wanted) {
    const { allocated, bytes } = await lookUp(session, () => image.isAllocated(start + looked, wanted - looked));
    // The end of the image.
    if (bytes === 0) break;
    looked += bytes;
    if (allocated) allocatedBytes += bytes;
  }
  session.output.stdout(`${allocatedBytes}/${looked} bytes allocated at offset ${formatSize(start)}\n`);
}

async function lookUp<T>(session: SessionState, body: () => Answer<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const errno = errnoOf(error);
    session.output.stdout(`is_allocated failed: ${strerror(errno)}\n`);
    throw new CommandFailure(errno);
  }
}
