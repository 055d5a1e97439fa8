/** `live`: the panel above the prompt. Not in qemu-io. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { parseLong } from '../../util/size.ts';
import type { Command } from '../command.ts';
import { refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';

export const live = {
  name: 'live',
  args: '[on|off|rows N]',
  oneline: 'shows or hides the panel, or sets its height',
  minArgs: 0,
  maxArgs: 2,
  needsFile: false,
  actsOutside: true,
  help: [
    'The panel above the prompt follows events, rules, suspended requests and the state. rows is the height of its lists;',
    'it never takes more than half of the terminal. Without an argument it says whether the panel is on.',
  ],
  operands: [['on', 'off', 'rows'], 'word'],
  run: runLive,
} satisfies Command;

/** More than any terminal has. */
const MAX_ROWS = 200;

async function runLive(session: SessionState, [, action, count]: string[]): Promise<void> {
  const { views, output } = session;
  if (views === null) throw new BlockError(Errno.ENOTTY, 'there is no terminal for the panel');
  if (action === undefined) {
    output.stdout(`the panel is ${views.isLive ? 'on' : 'off'}\n`);
  } else if ((action === 'on' || action === 'off') && count === undefined) {
    await views.setLive(action === 'on');
  } else if (action === 'rows' && count !== undefined) {
    const rows = parseLong(count);
    if (rows === undefined || rows < 1 || rows > MAX_ROWS) throw refuse(session, `${count} is not a number of rows`);
    views.setLiveRows(Number(rows));
  } else {
    throw usage();
  }
}
