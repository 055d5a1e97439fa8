/** `map`: prints which runs of the image are allocated. */
import { errnoOf } from '../../block/error.ts';
import type { BlockBackend } from '../../block/backend.ts';
import type { AllocationRun } from '../../block/request/status.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { formatSize } from '../../util/format.ts';
import { Breather } from '../breather.ts';
import type { Command } from '../command.ts';
import { CommandFailure, usage } from '../failure.ts';
import { Progress } from '../output/progress.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';

const options = new OptionTable({
  isVerbose: flag('v', 'each run with its state, its place, and the file of the chain that holds it'),
  json: flag('j', 'as JSON, with -v'),
  node: textSetting('n', 'node', 'of this node instead of the image, with -v'),
});

export const map = {
  name: 'map',
  // qemu-io's line has two spaces here.
  usage: '',
  oneline: 'prints the allocated areas of a file',
  minArgs: 0,
  maxArgs: 0,
  acceptsAlso: ([, word, ...more]) => word?.startsWith('-v') === true && more.length <= 5,
  needsFile: true,
  looksOnly: true,
  options,
  help: [
    'Prints which runs of the disk are allocated in the image or its backing files.',
    '  map -v           every run: data, zero, compressed or unallocated, its offset in the file, how deep in the chain',
    '  map -v 1M 64k    the runs of a part of the disk',
    'With -v it only looks, as where does: it works while requests are suspended, and fires no event.',
  ],
  operands: ['offset', 'length'],
  async run(session, argv) {
    if (argv.length === 1) return runMap(session);
    const { options: given, words } = options.parse(session, argv);
    const { operands } = words;
    if (!given.isVerbose || operands.length > 2) throw usage();
    const { showMap } = await import('../inspect/show-map.ts');
    return showMap(session, operands, given);
  },
} satisfies Command;

async function runMap(session: SessionState): Promise<void> {
  const length = await orError(session, 'Failed to query image length', () => session.image.getLength());
  const progress = Progress.of(session.output, 'map', length, formatSize);
  try {
    await printRuns(session, length, (done) => progress?.reached(done));
  } finally {
    progress?.end();
  }
}

async function printRuns(session: SessionState, length: number, reached: (offset: number) => void): Promise<void> {
  const { image } = session;
  const breather = new Breather(session.loop.clock);
  let offset = 0;
  while (offset < length) {
    const start = offset;
    reached(start);
    const run = await orError(session, 'Failed to get allocation status', () =>
      runAt(image, start, length - start, () => breathe(session, breather)),
    );
    if (run.bytes === 0) {
      session.error('Unexpected end of image');
      throw new CommandFailure(Errno.EIO);
    }
    const state = run.allocated ? '    allocated' : 'not allocated';
    session.output.stdout(
      `${formatSize(run.bytes)} (0x${run.bytes.toString(16)}) bytes ${state} ` +
        `at offset ${formatSize(offset)} (0x${offset.toString(16)})\n`,
    );
    offset += run.bytes;
  }
}

/** The longest run of one state that starts at `offset`. */
async function runAt(
  image: BlockBackend,
  offset: number,
  bytes: number,
  pause: () => Promise<void>,
): Promise<AllocationRun> {
  await pause();
  const { allocated, bytes: first } = await image.isAllocated(offset, bytes);
  let found = first;
  while (found > 0 && found < bytes) {
    await pause();
    const next = await isAllocatedOrUnknown(image, offset + found, bytes - found);
    if (next?.allocated !== allocated || next.bytes === 0) break;
    found += next.bytes;
  }
  return { allocated, bytes: found };
}

/** Gives Node a turn if it is time for one. EINTR after an interrupt. */
async function breathe(session: SessionState, breather: Breather): Promise<void> {
  const turn = breather.breathe();
  if (turn !== undefined) await turn;
  if (session.wasInterrupted) throw new CommandFailure(Errno.EINTR);
}

/** Null if it cannot be told: then the run ends here, and the next one will say why. */
async function isAllocatedOrUnknown(image: BlockBackend, offset: number, bytes: number) {
  try {
    return await image.isAllocated(offset, bytes);
  } catch (error) {
    errnoOf(error);
    return null;
  }
}

async function orError<T>(session: SessionState, what: string, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const errno = errnoOf(error);
    session.error(`${what}: ${strerror(errno)}`);
    throw new CommandFailure(errno);
  }
}
