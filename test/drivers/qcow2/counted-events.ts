/**
 * The exact sequence of blkdebug events of a synchronous command in the real program, where a breakpoint would hang it.
 *
 * Rules count the events by blkdebug's state, and the state that follows the Nth event says which it was. A read behind
 * the command then fails with an errno that tells the state. One run of the program gives one event of the sequence.
 */
import { writeFileSync } from 'node:fs';
import { eventNames } from '../../../src/block/events/events.ts';
import { strerror } from '../../../src/util/errno.ts';
import { type Program, runProgram } from '../../helpers/run-program.ts';

/** Only the gate takes blkdebug from here to the first state that counts. */
const CLOSED = 1;
const FIRST = 2;
/** Behind all states that count: this one plus the number of the event. */
const FOUND = 100_000;
/** One errno for each event, all with texts of their own and without a meaning for the block layer. */
const ERRNO_BASE = 60;
const EVENTS_MAX = 300;
/** VM state where there is none. */
const GATE = 'read -b -q 1G 512';

function errnoOf(event: number): number {
  // 95 is ENOTSUP.
  return ERRNO_BASE + event >= 95 ? ERRNO_BASE + event + 1 : ERRNO_BASE + event;
}

function section(name: string, values: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = "${value}"\n`);
  return `[${name}]\n${lines.join('')}\n`;
}

/** Rules that end in a state for the event at this place in the sequence. */
function rulesFor(place: number): string {
  const rules = [section('set-state', { event: 'vmstate_load', state: CLOSED, new_state: FIRST })];
  for (const [number, event] of eventNames.entries()) {
    for (let state = FIRST; state < FIRST + place; state++) {
      rules.push(section('set-state', { event, state, new_state: state + 1 }));
    }
    rules.push(section('set-state', { event, state: FIRST + place, new_state: FOUND + number }));
    rules.push(
      section('inject-error', { event: 'read_aio', state: FOUND + number, errno: errnoOf(number), once: 'on' }),
    );
  }
  return rules.join('');
}

export interface Measured {
  /** The option string of the image, over blkdebug with `config=events.conf`. */
  readonly imageOptions: string;
  /** Further words of the command line. */
  readonly words?: readonly string[];
  readonly setup: readonly string[];
  readonly command: string;
  /** A read of data that the command leaves alone. */
  readonly probe: string;
  /** Where there is no VM state the backing file is read: then the gate itself fires an event that counts. */
  readonly hasBacking: boolean;
  readonly folder: string;
  /** Puts the images in their first state again. */
  readonly restore: () => void;
}

/** The events of one command, and those of the probe before it reads its data. */
export async function countedEvents(program: Program, measured: Measured): Promise<string[]> {
  const { imageOptions, words = [], setup, command, probe, hasBacking, folder, restore } = measured;
  const events: string[] = [];
  while (events.length < EVENTS_MAX) {
    restore();
    writeFileSync(`${folder}/events.conf`, rulesFor(events.length));
    const lines = [...setup, GATE, command, probe];
    const args = [...words, '--image-opts', imageOptions, ...lines.flatMap((line) => ['-c', line])];
    const { stderr, stdout } = await runProgram(program, args, { cwd: folder });
    const failure = /^read failed: (.*)$/m.exec(stdout);
    if (failure === null) break;
    const number = eventNames.findIndex((_, index) => strerror(errnoOf(index)) === failure[1]);
    if (number < 0) throw new Error(`${command}: ${stdout}${stderr}`);
    events.push(eventNames[number] ?? '');
  }
  if (events.length === EVENTS_MAX) throw new Error(`too many events of ${command}`);
  if (hasBacking && events.shift() !== 'read_backing_aio') throw new Error('the gate does not read the backing file');
  return events;
}
