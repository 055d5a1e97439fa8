/** `open`: opens an image. */
import { parseAio, parseCacheMode, parseDiscard } from '../../block/options/cache-mode.ts';
import { Open } from '../../block/flags.ts';
import { parseOptionString } from '../../block/options/option-string.ts';
import type { Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { CommandFailure, refuse, usage } from '../failure.ts';
import { openImage } from '../image-lifecycle.ts';
import type { SessionState } from '../session-state.ts';
import { flag, type Option, OptionTable, setting } from '../words/option-table.ts';

/** The modes that `-t` takes. */
export const cacheModes = ['none', 'off', 'writeback', 'unsafe', 'directsync', 'writethrough'] as const;
const discardModes = ['ignore', 'off', 'unmap', 'on'] as const;
const aioModes = ['threads', 'native', 'io_uring'] as const;

interface Cache {
  /** Bits of `CACHE_FLAGS`. */
  readonly flags: number;
  readonly writethrough: boolean;
}

const options = new OptionTable({
  isReadOnly: flag('r', 'open read-only'),
  discardsWrites: flag('s', 'discard all writes on close'),
  copyOnRead: flag('C', 'copy data read from the backing file into the image'),
  cache: {
    initial: { flags: 0, writethrough: true },
    letters: [
      {
        letter: 'n',
        help: 'as -t none',
        take: (before: Cache): Cache => ({ flags: before.flags | Open.NO_CACHE, writethrough: false }),
      },
      {
        letter: 't',
        argument: 'cache',
        help: `cache mode: ${cacheModes.join(', ')}`,
        values: cacheModes,
        take: (_before, mode, session) => cacheArgument(session, mode),
      },
    ],
  } satisfies Option<Cache>,
  /** Bits of `Open`; they add up. */
  aio: {
    initial: 0,
    letters: [
      { letter: 'k', help: 'as -i native', take: (before: number): number => before | Open.NATIVE_AIO },
      {
        letter: 'i',
        argument: 'aio',
        help: `how the file is read and written: ${aioModes.join(', ')}`,
        values: aioModes,
        isHidden: true,
        take: (before, mode, session) => before | (parseAio(mode) ?? invalid(session, 'aio', mode)).flags,
      },
    ],
  } satisfies Option<number>,
  forceShare: flag('U', 'open even if another process has the image locked'),
  discard: setting(
    'd',
    'discard',
    `whether discards reach the file: ${discardModes.join(', ')}`,
    (session, mode) => (parseDiscard(mode) ?? invalid(session, 'discard', mode)).flags,
    { values: discardModes },
  ),
  driverOptions: {
    initial: null,
    letters: [
      {
        letter: 'o',
        argument: 'options',
        help: 'options of the driver, as key=value,…',
        take(before: Options | null, text: string, session: SessionState): Options | null {
          if (session.imageOptions) throw refuse(session, "--image-opts and 'open -o' are mutually exclusive");
          return mergeOptions(session, before, text);
        },
      },
    ],
  } satisfies Option<Options | null>,
});

export const open = {
  name: 'open',
  aliases: ['o'],
  args: '[path]',
  oneline: 'open the file specified by path',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  options,
  help: [
    'Opens an image; the commands that follow work on it.',
    '  open disk.img                                     guesses the format',
    '  open -r -o driver=qcow2 disk.qcow2                gives it',
    '  open -o driver=blkdebug,image.filename=disk.img   puts blkdebug on top of it',
  ],
  operands: ['file'],
  run: runOpen,
} satisfies Command;

async function runOpen(session: SessionState, argv: string[]): Promise<void> {
  const parsed = options.parse(session, argv);
  const { isReadOnly, discardsWrites, copyOnRead, cache, aio, forceShare, discard } = parsed.options;
  const flags =
    (isReadOnly ? 0 : Open.READ_WRITE) |
    (discardsWrites ? Open.SNAPSHOT : 0) |
    (copyOnRead ? Open.COPY_ON_READ : 0) |
    cache.flags |
    aio |
    (discard ?? Open.UNMAP);

  let { driverOptions } = parsed.options;
  let { operands } = parsed.words;
  const [text] = operands;
  if (session.imageOptions && operands.length === 1 && text !== undefined) {
    driverOptions = mergeOptions(session, driverOptions, text);
    operands = [];
  }
  if (operands.length > 1) throw usage();
  const filename = operands[0] ?? null;
  const { writethrough } = cache;
  const isOpen = await openImage(session, { filename, options: driverOptions, flags, writethrough, forceShare });
  if (!isOpen) throw new CommandFailure(Errno.EINVAL);
}

/** The mode of `-t` and of reopen's `-c`; any other word is refused. */
export function cacheArgument(session: SessionState, mode: string): Cache {
  return parseCacheMode(mode) ?? invalid(session, 'cache', mode);
}

function invalid(session: SessionState, what: 'cache' | 'discard' | 'aio', mode: string): never {
  session.error(`Invalid ${what} option: ${mode}`);
  throw new CommandFailure(Errno.EINVAL);
}

/** Parses another `-o`, whose values count more than those before. */
export function mergeOptions(session: SessionState, before: Options | null, text: string): Options {
  const parsed = parseOptionString(text, undefined, { warn: (line) => warnLine(session, line) });
  if (before !== null) parsed.join(before);
  return parsed;
}

/** Only the first line of a warning carries the program's name. */
function warnLine(session: SessionState, line: string): void {
  if (line.startsWith('warning: ')) session.error(line);
  else session.complain(`${line}\n`);
}
