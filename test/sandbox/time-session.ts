/** A session in a sandbox over files of the host, whose lines come as from a pipe. */
import { Open } from '../../src/block/flags.ts';
import { Options } from '../../src/block/options/options.ts';
import { drivers } from '../../src/drivers/index.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { SandboxOutput } from '../../src/sandbox/sandbox-output.ts';
import { sandboxTable } from '../../src/sandbox/sandbox-table.ts';
import { Timeline } from '../../src/sandbox/time-travel.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { runLines } from '../../src/shell/script.ts';
import { Session } from '../../src/shell/session.ts';

export interface TimeSession {
  readonly session: Session;
  readonly sandbox: Sandbox;
  /** Runs lines; what they and the requests that end meanwhile print, standard error behind it. */
  run(...lines: readonly string[]): Promise<string>;
  /** The views of the session as JSON, its hazards, and a digest of its disks. */
  picture(): Promise<string>;
  close(): Promise<void>;
}

const pictures = [
  'suspended -j',
  'requests -j',
  'rules -j',
  'state -j',
  'events -j -n 40',
  'events -j -c',
  'nodes -j',
  'check -j',
  'check -j -d',
  'dump -j l2',
];

/** Opens a file of this format, with a blkdebug node below it unless `isPlain`. */
export async function timeSession(
  filename: string,
  { isPlain = false, isTerminal = false, format = 'qcow2', memoryMaxBytes = 1 << 30, hostDrivers = drivers } = {},
): Promise<TimeSession> {
  let text = '';
  const write = (part: string): void => {
    text += part;
  };
  const own = { stdout: write, stderr: write, flush: () => {}, drop: () => {}, isTerminal };
  const output = new SandboxOutput(own);
  const sandbox = new Sandbox(drivers, memoryMaxBytes);
  const commands = sandboxTable(commandTable, 'and is not to be had in a sandbox');
  const session = new Session({ output, ...sandbox.parts }, commands);
  sandbox.serve(session);
  const timeline = new Timeline({
    session,
    sandbox,
    output,
    hostDrivers,
    openImage: () =>
      session.open({
        filename: isPlain ? filename : `blkdebug::${filename}`,
        options: new Options([['driver', format]]),
        flags: Open.READ_WRITE | Open.UNMAP,
        writethrough: false,
        forceShare: false,
      }),
  });
  if (!(await timeline.begin())) throw new Error(text);
  const run = async (...lines: readonly string[]): Promise<string> => {
    text = '';
    let next = 0;
    await runLines(session.shell, { next: () => lines[next++] ?? null }, null);
    return text;
  };
  return {
    session,
    sandbox,
    run,
    async picture() {
      const { hazards, firstHazards } = session.context.trace.history;
      let all = `${sandbox.disks.digest()}\n${JSON.stringify({ hazards, firstHazards })}\n`;
      // Each number is one more request: all must be looked at in one order.
      for (const line of pictures) {
        text = '';
        await session.execute(line);
        all += `${line}: ${text}`;
      }
      return all;
    },
    async close() {
      timeline.end();
      await session.close();
      sandbox.close();
    },
  };
}
