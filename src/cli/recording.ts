/**
 * Keeps a session in a file. Apart from the other views, so that a recording does not wait for what it does not need.
 */
import type { BlockError } from '../block/error.ts';
import { Recorder } from '../live/record/recorder.ts';
import type { Session } from '../shell/session.ts';
import { holdsImage, listenerOptions } from './session-snapshot.ts';

/** Begins to record; `command` are the words of the command line. Fails with BlockError if the file cannot be made. */
export function openRecorder(session: Session, path: string, command: readonly string[]): Promise<Recorder> {
  const onError = (error: BlockError): void => session.warn(`the recording has ended: ${error.message}`);
  return Recorder.open(path, {
    ...listenerOptions(session, command),
    columns: session.output.isTerminal ? (session.output.columns ?? 0) : null,
    objection: (file) => (holdsImage(session, file) ? 'the image is in it' : null),
    onError,
  });
}

/** A longer text is told of in pieces of so many characters. */
const PIECE_CHARS = 64 << 10;

/** Makes records of the bus of all that the session prints, while the bus has subscribers. */
export function tellBusOfOutput({ output, context, loop }: Session): void {
  const { trace } = context;
  output.tap = (stream, text, origin) => {
    if (!trace.active) return;
    const client = origin === null ? {} : { client: origin };
    for (let from = 0; from < text.length; from += PIECE_CHARS) {
      const piece = text.length <= PIECE_CHARS ? text : text.slice(from, from + PIECE_CHARS);
      trace.emit(loop.current?.id ?? 0, '', { kind: 'output', stream, text: piece, ...client });
    }
  };
}
