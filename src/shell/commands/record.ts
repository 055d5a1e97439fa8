/** `record`: records the session to a file from here on. Not in qemu-io. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import type { RecordingStatus } from '../session-views.ts';

export const record = {
  name: 'record',
  args: '[start FILE|stop]',
  oneline: 'records the session to a file, or shows the recording',
  minArgs: 0,
  maxArgs: 2,
  needsFile: false,
  actsOutside: true,
  help: [
    'From start to stop, or to the end, all records of the event bus go to a file, as with --record. The extension of its',
    'name chooses the form: .ndjson is one record per line, .json opens in Perfetto, .html is a page with the timeline.',
    'An older recording of that name is replaced, any other file is not.',
    '  record start session.html',
  ],
  operands: [['start', 'stop'], 'file'],
  run: runRecord,
} satisfies Command;

async function runRecord(session: SessionState, [, action, path]: string[]): Promise<void> {
  const { views, output } = session;
  if (views === null) throw new BlockError(Errno.ENOTSUP, 'nothing can be recorded here');
  if (action === undefined) {
    output.stdout(views.recording === null ? 'nothing is recorded\n' : `recording to ${statusText(views.recording)}\n`);
  } else if (action === 'start' && path !== undefined) {
    await views.startRecording(path);
  } else if (action === 'stop' && path === undefined) {
    output.stdout(`recorded to ${statusText(views.stopRecording())}\n`);
  } else {
    throw usage();
  }
}

function statusText({ path, records }: RecordingStatus): string {
  return `${path}: ${records} records`;
}
