/** `step` and `until`: a suspended request goes on to its next event, or to a certain one. Not in qemu-io. */
import { debugPort, type SuspendedRequest } from '../../block/debug/port.ts';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { requestName } from '../../util/compact.ts';
import type { Command, Shell } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { rulesOf } from '../words/rule-words.ts';
import { namedSuspended, onlySuspended } from '../words/tags.ts';

export const step = {
  name: 'step',
  args: '[tag]',
  oneline: 'lets a suspended request go on to its next event',
  minArgs: 0,
  maxArgs: 1,
  needsFile: true,
  polls: true,
  help: [
    'The request that is suspended, the newest one under the tag, or the one of that name (w5), goes on and is suspended again',
    'at the next event that it fires, under the same tag. It ends if there is none. "diff" shows what it has changed since.',
  ],
  operands: ['tag'],
  async run(session, argv, shell): Promise<void> {
    await goOn(session, argv, shell, step, null, argv[1]);
  },
} satisfies Command;

export const until = {
  name: 'until',
  args: 'event [tag]',
  oneline: 'lets a suspended request go on to an event',
  minArgs: 1,
  maxArgs: 2,
  needsFile: true,
  polls: true,
  help: [
    'As step, but the request is suspended again when it fires this event. It ends if it never does.',
    '  until l2_update    on to where its L2 table is written',
  ],
  operands: ['event', 'tag'],
  async run(session, argv, shell): Promise<void> {
    await goOn(session, argv, shell, until, argv[1] ?? null, argv[2]);
  },
} satisfies Command;

async function goOn(
  session: SessionState,
  argv: readonly string[],
  shell: Shell,
  command: Command,
  event: string | null,
  tag: string | undefined,
): Promise<void> {
  rulesOf(session, null);
  const port = debugPort(session.top);
  const request = chosen(session, tag);
  const takeBack = port.stopAt(request.tag, { request: request.request, event });
  try {
    await shell.runRequest(command, argv, async () => {
      await port.resumeRequest(request.request);
    });
  } catch (error) {
    takeBack();
    throw error;
  }
  const isStopped = (): boolean => port.suspended().some((other) => other.request === request.request);
  const isAlive = (): boolean => [...session.loop.alive].some(({ id }) => id === request.request);
  await session.background.pollUntil(() => isStopped() || !isAlive());
  const name = requestName(request.operation, request.request);
  const stop = port.suspended().find((other) => other.request === request.request);
  if (stop !== undefined) {
    session.hint(`${name} is suspended at ${stop.event}`);
    return;
  }
  if (!isAlive()) {
    takeBack();
    session.hint(`${name} has ended`);
    return;
  }
  if (session.wasInterrupted) throw new CommandFailure(Errno.EINTR);
  // The stop stays: it goes on when what it waits for does.
  session.hint(`${name} waits for another request; "requests" says for which`);
}

function chosen(session: SessionState, tag: string | undefined): SuspendedRequest {
  const suspended = debugPort(session.top).suspended();
  const request =
    tag === undefined
      ? onlySuspended(session)
      : (suspended.find((other) => other.tag === tag) ?? namedSuspended(session, tag));
  if (request === undefined) throw new BlockError(Errno.ENOENT, `no request is suspended under '${tag ?? ''}'`);
  return request;
}
