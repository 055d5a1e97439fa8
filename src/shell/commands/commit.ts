/** `commit`: writes the image into its backing file as `qemu-img commit`, or a sandbox to its files. Not in qemu-io. */
import { compactBytes } from '../../util/compact.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { CommandFailure, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import type { SessionTimeline } from '../session-timeline.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';

const options = new OptionTable({
  isQuiet: flag('q', 'say nothing'),
  keepsOverlay: flag('d', 'leave the image as it is, and do not empty it'),
  showsProgress: flag('p', 'show how far it is'),
  base: textSetting('b', 'base', 'this image of the chain gets it, by its file name; the image is left as it is'),
});

export const commit = {
  name: 'commit',
  oneline: 'writes the image into its backing file, or the sandbox to its files',
  minArgs: 0,
  maxArgs: 5,
  // A sandbox is written when its image has been closed, too.
  needsFile: false,
  polls: true,
  options,
  help: [
    'The backing file gets all that the open image itself holds, and becomes as long if it is shorter; then the image is',
    'emptied, so that the backing file shows through. The backing file is open for writing meanwhile. No request may be in',
    'flight. It reads and writes by requests: events are fired, and rules count. With -b all that the images above the base hold',
    'goes into the base; those between are of no use afterwards.',
    '  commit -b base.raw    into the image of that name',
    'In a sandbox it has another meaning: the image is closed, all files that the session has changed are written, and the',
    'session begins anew with the image of the command line, without rules, breakpoints and checkpoints. No request may be',
    'in flight, and no other program may use the files or have changed them; else nothing is written.',
  ],
  async run(session, argv, shell) {
    const { options: given, words } = options.parse(session, argv);
    if (words.operands.length > 0) throw usage();
    const { base, keepsOverlay, showsProgress, isQuiet } = given;
    if (session.timeline !== null) {
      if (keepsOverlay || showsProgress || base !== null) throw usage();
      await commitSandbox(session, session.timeline, isQuiet);
      return;
    }
    if (session.backend === null) {
      session.output.stderr("no file open, try 'help open'\n");
      throw new CommandFailure(Errno.EINVAL);
    }
    await shell.runRequest(commit, argv, async () => {
      const { commitImage } = await import('../images/commit-image.ts');
      await commitImage(session, {
        base,
        keepsOverlay: keepsOverlay || base !== null,
        showsProgress: showsProgress && !isQuiet,
      });
      if (!isQuiet) session.output.stdout('Image committed.\n');
    });
  },
} satisfies Command;

async function commitSandbox(session: SessionState, timeline: SessionTimeline, isQuiet: boolean): Promise<void> {
  const files = await timeline.commit();
  if (isQuiet) return;
  for (const { path, changedBytes } of files) {
    session.output.stdout(`${path}: ${compactBytes(changedBytes)} written\n`);
  }
  if (files.length === 0) session.output.stdout('nothing was changed\n');
}
