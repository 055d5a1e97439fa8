/** `!`: a command of the host's shell. Not in qemu-io, whose lines in a pipe keep their meaning. */
import { Errno } from '../../util/errno.ts';
import { loadNow } from '../../util/load-now.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';

export const hostCommand = {
  name: '!',
  args: 'command',
  oneline: "runs a command of the host's shell",
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  takesLine: true,
  looksOnly: true,
  actsOutside: true,
  polls: true,
  help: [
    'All that follows goes to /bin/sh as it is; what it prints comes here, its standard input is empty. Requests and',
    'clients of exports go on meanwhile. It fails as the command does; Ctrl-C ends it. Only where the output goes to a',
    'terminal, and in files of source: elsewhere a line means what it means to qemu-io.',
    '  !qemu-img map disk.qcow2',
  ],
  operands: ['file'],
  async run(session, [, line = '']) {
    const status = await runOnHost(session, line);
    if (status === 0) return;
    session.hint(typeof status === 'number' ? `exit status ${status}` : `ended by ${status}`);
    throw new CommandFailure(Errno.EIO);
  },
} satisfies Command;

/** The exit status, or the name of the signal that ended it. EINTR if it was interrupted. */
async function runOnHost(session: SessionState, line: string): Promise<number | string> {
  const { spawn } = loadNow('node:child_process');
  const { loop, output } = session;
  output.flush();
  const child = spawn('/bin/sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (text: Buffer) => output.stdout(text.toString('utf8')));
  child.stderr.on('data', (text: Buffer) => output.stderr(text.toString('utf8')));
  let ended: number | string | null = null;
  let isOver = false;
  const waiter = await loop.spawn(
    { operation: '!' },
    () =>
      loop.parkOutside({ kind: 'host-io' }, (arrived) => {
        child.on('error', (error) => {
          ended = error.message;
          arrived();
        });
        child.on('close', (status, signal) => {
          ended = signal ?? status ?? 0;
          arrived();
        });
        return () => child.kill();
      }),
    () => {
      isOver = true;
    },
  );
  if (!(await session.background.pollUntil(() => isOver))) {
    loop.cancel(waiter);
    throw new CommandFailure(Errno.EINTR);
  }
  return ended ?? 0;
}
