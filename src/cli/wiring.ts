/** Puts the parts together: drivers, session, the image that the arguments name. */
import type { TemporaryOverlay } from '../block/open/overlay.ts';
import { drivers } from '../drivers/index.ts';
import type { Output } from '../shell/output/output.ts';
import { growingTable } from '../shell/commands/first.ts';
import type { CommandTable } from '../shell/command.ts';
import type { SessionOptions } from '../shell/session-state.ts';
import { type OpenRequest, Session } from '../shell/session.ts';
import type { Invocation } from './command-line.ts';
import type { DemoImage } from './demo.ts';

/** A session, and the place of its image: the files themselves, or a copy of them. */
export interface SessionPlace {
  readonly session: Session;
  /** Opens the image, if there is one. False after the reason why not has been said. */
  open(): Promise<boolean>;
  /** Before the session is closed. */
  end(): void;
  /** Gives back what the place holds. */
  close(): void;
}

/** The parts of a session that a sandbox brings. */
export interface SandboxParts extends Required<Pick<SessionOptions, 'drivers' | 'clock'>> {
  readonly commands: CommandTable;
}

/** A session with every driver, and with no image yet; `sandbox` has those that stay in memory. */
export function makeSession(
  invocation: Invocation,
  output: Output,
  programName: string,
  sandbox: SandboxParts | null = null,
): Session {
  const { misalign, imageOptions, bail, objects, compat } = invocation;
  const exit = (status: number): never => {
    output.flush();
    output.drop();
    process.exit(status);
  };
  const common = { output, objects, compat, programName, misalign, imageOptions, exit };
  const session =
    sandbox === null
      ? new Session({ ...common, drivers, makeOverlay }, growingTable(compat))
      : new Session({ ...common, drivers: sandbox.drivers, clock: sandbox.clock }, sandbox.commands);
  session.bail = bail;
  return session;
}

/** Makes the overlay of snapshot mode. */
async function makeOverlay(lengthBytes: number): Promise<TemporaryOverlay> {
  const { makeTemporaryOverlay } = await import('../drivers/qcow2/temporary-overlay.ts');
  return makeTemporaryOverlay(lengthBytes);
}

/**
 * Opens the image of the command line, if there is one; `demo` instead if it has been made. False after the reason why
 * not has been said.
 */
export async function openImage(
  session: Session,
  invocation: Invocation,
  demo: DemoImage | null = null,
): Promise<boolean> {
  const { flags, writethrough, forceShare } = invocation;
  const image = demo === null ? await namedImage(session, invocation) : { ...demo, options: demo.options.clone() };
  return image === null || session.open({ ...image, flags, writethrough, forceShare });
}

async function namedImage(
  session: Session,
  { file, format, imageOptions, blkdebug, demo }: Invocation,
): Promise<Pick<OpenRequest, 'filename' | 'options'> | null> {
  if (file === null) return demo ? (await import('./demo.ts')).makeDemoImage() : null;
  if (!imageOptions) {
    const { Options } = await import('../block/options/options.ts');
    const options = format === null ? null : new Options([['driver', format]]);
    return { filename: blkdebug ? `blkdebug::${file}` : file, options };
  }
  const warn = (line: string): void => {
    // Only the first line of a warning carries the program's name.
    if (line.startsWith('warning: ')) session.error(line);
    else session.complain(`${line}\n`);
  };
  const { parseOptionString } = await import('../block/options/option-string.ts');
  return { filename: null, options: parseOptionString(file, undefined, { warn, acceptsId: true }) };
}
