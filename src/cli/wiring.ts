/** Puts the parts together: drivers, session, the image that the arguments name. */
import { Options } from '../block/options/options.ts';
import { parseOptionString } from '../block/options/option-string.ts';
import { drivers } from '../drivers/index.ts';
import { makeTemporaryOverlay } from '../drivers/qcow2/temporary-overlay.ts';
import type { Output } from '../shell/output/output.ts';
import { commandTable } from '../shell/commands/index.ts';
import { type OpenRequest, Session } from '../shell/session.ts';
import type { Invocation } from './arguments.ts';

/** A session with every driver, and with no image yet. */
export function makeSession(invocation: Invocation, output: Output, programName: string): Session {
  const { misalign, imageOptions, bail, objects } = invocation;
  const session = new Session(
    {
      output,
      drivers,
      makeOverlay: makeTemporaryOverlay,
      objects,
      programName,
      misalign,
      imageOptions,
    },
    commandTable,
  );
  session.bail = bail;
  return session;
}

/** Opens the image of the command line, if there is one. False after the reason why not has been said. */
export async function openImage(session: Session, invocation: Invocation): Promise<boolean> {
  const { flags, writethrough, forceShare } = invocation;
  const image = await namedImage(session, invocation);
  return image === null || session.open({ ...image, flags, writethrough, forceShare });
}

async function namedImage(
  session: Session,
  { file, format, imageOptions, blkdebug, demo }: Invocation,
): Promise<Pick<OpenRequest, 'filename' | 'options'> | null> {
  if (file === null) return demo ? (await import('./demo.ts')).makeDemoImage() : null;
  if (!imageOptions) {
    const options = format === null ? null : new Options([['driver', format]]);
    return { filename: blkdebug ? `blkdebug::${file}` : file, options };
  }
  const warn = (line: string): void => {
    // Only the first line of a warning carries the program's name.
    if (line.startsWith('warning: ')) session.error(line);
    else session.complain(`${line}\n`);
  };
  return { filename: null, options: parseOptionString(file, undefined, { warn, acceptsId: true }) };
}
