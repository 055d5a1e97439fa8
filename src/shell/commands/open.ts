/** `open`: opens an image. */
import { CACHE_FLAGS, parseAio, parseCacheMode, parseDiscard } from '../../block/options/cache-mode.ts';
import { Open } from '../../block/flags.ts';
import { parseOptionString } from '../../block/options/option-string.ts';
import type { Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import { CommandOptions, refuse, usage } from '../words/arguments.ts';
import { type Command, CommandFailure } from '../command.ts';
import type { Session } from '../session.ts';

/** What `-t` takes. */
export const cacheModes = ['none', 'off', 'writeback', 'unsafe', 'directsync', 'writethrough'] as const;

export const open = {
  name: 'open',
  aliases: ['o'],
  args: '[-rsCnkU] [-t cache] [-d discard] [-o options] [path]',
  oneline: 'open the file specified by path',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  options: 'snCro:ki:t:d:U',
  optionValues: {
    t: cacheModes,
    d: ['ignore', 'off', 'unmap', 'on'],
    i: ['threads', 'native', 'io_uring'],
  },
  optionHelp: {
    C: 'copy what is read from the backing file into the image',
    d: 'whether discards reach the file: ignore, off, unmap, on',
    i: 'how the file is read and written: threads, native, io_uring',
    k: 'the same as -i native',
    n: 'the same as -t none',
    o: 'options of the driver, as key=value,…',
    r: 'for reading only',
    s: 'throw away in the end what was written',
    t: `cache mode: ${cacheModes.join(', ')}`,
    U: 'although another program writes to it',
  },
  help: [
    'Opens an image; the commands that follow work on it.',
    '  open disk.img                                     guesses the format',
    '  open -r -o driver=qcow2 disk.qcow2                gives it',
    '  open -o driver=blkdebug,image.filename=disk.img   puts blkdebug on top of it',
  ],
  operands: ['file'],
  run: runOpen,
} satisfies Command;

async function runOpen(session: Session, argv: string[]): Promise<void> {
  let flags: number = Open.UNMAP;
  let isReadOnly = false;
  let writethrough = true;
  let forceShare = false;
  let driverOptions: Options | null = null;
  const words = new CommandOptions(session, argv, open.options);
  while (words.next()) {
    const { name, argument } = words;
    if (name === 's') flags |= Open.SNAPSHOT;
    else if (name === 'C') flags |= Open.COPY_ON_READ;
    else if (name === 'r') isReadOnly = true;
    else if (name === 'k') flags |= Open.NATIVE_AIO;
    else if (name === 'U') forceShare = true;
    else if (name === 'n') {
      flags |= Open.NO_CACHE;
      writethrough = false;
    } else if (name === 't') {
      const mode = parseCacheMode(argument) ?? invalid(session, 'cache', argument);
      flags = (flags & ~CACHE_FLAGS) | mode.flags;
      writethrough = mode.writethrough;
    } else if (name === 'd') {
      const mode = parseDiscard(argument) ?? invalid(session, 'discard', argument);
      flags = (flags & ~Open.UNMAP) | mode.flags;
    } else if (name === 'i') {
      flags |= (parseAio(argument) ?? invalid(session, 'aio', argument)).flags;
    } else if (name === 'o') {
      if (session.imageOptions) throw refuse(session, "--image-opts and 'open -o' are mutually exclusive");
      driverOptions = mergeOptions(session, driverOptions, argument);
    }
  }
  if (!isReadOnly) flags |= Open.READ_WRITE;

  let { operands } = words;
  const [text] = operands;
  if (session.imageOptions && operands.length === 1 && text !== undefined) {
    driverOptions = mergeOptions(session, driverOptions, text);
    operands = [];
  }
  if (operands.length > 1) throw usage();
  const filename = operands[0] ?? null;
  const isOpen = await session.open({ filename, options: driverOptions, flags, writethrough, forceShare });
  if (!isOpen) throw new CommandFailure(Errno.EINVAL);
}

/** Says that a mode is none. */
export function invalid(session: Session, what: 'cache' | 'discard' | 'aio', mode: string): never {
  session.error(`Invalid ${what} option: ${mode}`);
  throw new CommandFailure(Errno.EINVAL);
}

/** Parses another `-o`, whose values count more than those before. */
export function mergeOptions(session: Session, before: Options | null, text: string): Options {
  const parsed = parseOptionString(text, undefined, { warn: (line) => warnLine(session, line) });
  if (before !== null) parsed.join(before);
  return parsed;
}

/** Only the first line of a warning carries the program's name. */
function warnLine(session: Session, line: string): void {
  if (line.startsWith('warning: ')) session.error(line);
  else session.complain(`${line}\n`);
}
