/** `blkscope ctl`: runs commands in a session that goes on elsewhere, for scripts. */
import { BlockError } from '../block/error.ts';
import { ControlLink } from '../live/control/control-link.ts';
import { RpcCode, RpcError } from '../live/control/messages.ts';
import type { CommandResult } from '../live/control/session-control.ts';
import { openInput } from './input.ts';
import type { Stdio } from './stdio.ts';

/** The command line of `ctl`. */
export interface CtlOptions {
  readonly socket: string;
  /** The lines to run; with none those of standard input. */
  readonly commands: readonly string[];
  /** Prints each result as a line of JSON. */
  readonly isJson: boolean;
  /** The session ends afterwards. */
  readonly endsSession: boolean;
}

/** The session cannot be reached, or is gone. */
const UNREACHABLE = 2;

/**
 * Runs the commands one after the other and prints what they print. 0 if all succeeded, 1 if one failed, 2 if the
 * session cannot be reached.
 */
export async function runCtl(options: CtlOptions, stdio: Stdio): Promise<number> {
  const { socket, commands, isJson, endsSession } = options;
  let link: ControlLink;
  try {
    link = await ControlLink.open(socket, 'ctl');
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    stdio.stderr(`blkscope: ${error.message}\n`);
    return UNREACHABLE;
  }
  link.onNotification = (method, { stdout, stderr }) => {
    if (method === 'output' && !isJson) print(stdio, String(stdout), String(stderr));
  };
  let failed = false;
  try {
    const run = async (line: string): Promise<void> => {
      const params = { line, terminal: stdio.isTerminal, columns: stdio.columns ?? 0, confirmed: true };
      const result = (await link.call('command', params)) as CommandResult;
      if (isJson) stdio.stdout(`${JSON.stringify(result)}\n`);
      else print(stdio, result.stdout, result.stderr);
      if (result.truncated) stdio.stderr('blkscope: the output is longer than what is sent\n');
      failed ||= result.status !== 0 || result.truncated;
      stdio.flush();
      await stdio.drained();
    };
    for await (const line of commands.length === 0 && !endsSession ? inputLines() : commands) {
      if (/^\s*(q|quit)\s*$/.test(line)) break;
      await run(line);
    }
    if (endsSession) {
      await link.call('shutdown');
      await link.closed;
    }
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const { message, code } = error;
    stdio.stderr(`blkscope: ${message}\n`);
    return code === RpcCode.NOT_RUN ? UNREACHABLE : 1;
  } finally {
    link.close();
  }
  return failed ? 1 : 0;
}

async function* inputLines(): AsyncGenerator<string> {
  const input = openInput();
  try {
    for (let line = await input.next(); line !== null; line = await input.next()) yield line;
  } finally {
    input.stop();
  }
}

function print(stdio: Stdio, stdout: string, stderr: string): void {
  if (stdout !== '') stdio.stdout(stdout);
  if (stderr !== '') stdio.stderr(stderr);
}
