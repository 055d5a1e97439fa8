/** `sleep`: lets time pass, and requests go on. */
import { Errno } from '../../util/errno.ts';
import { parseLong } from '../../util/size.ts';
import type { Command } from '../command.ts';
import { CommandFailure, refuse } from '../failure.ts';

const NS_PER_MS = 1_000_000n;

export const sleep = {
  name: 'sleep',
  oneline: 'waits for the given value in milliseconds',
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  operands: ['word'],
  polls: true,
  async run(session, [, text = '']) {
    const ms = parseLong(text);
    if (ms === undefined || ms < 0) throw refuse(session, `${text} is not a valid number`);
    // The product wraps around, as qemu-io's does; a time in the past has passed.
    const delayNs = Number(BigInt.asIntN(64, BigInt(ms) * NS_PER_MS));
    let isOver = false;
    const { loop } = session;
    const sleeper = await loop.spawn(
      { operation: 'sleep' },
      () => loop.sleep(Math.max(0, delayNs)),
      () => {
        isOver = true;
      },
    );
    if (await session.background.pollUntil(() => isOver)) return;
    // Its timer would keep every command waiting that waits for what can happen by itself.
    loop.cancel(sleeper);
    throw new CommandFailure(Errno.EINTR);
  },
} satisfies Command;
