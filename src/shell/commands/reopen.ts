/** `reopen`: changes the options of the open image. */
import { CACHE_FLAGS, parseCacheMode } from '../../block/options/cache-mode.ts';
import { Open, Perm } from '../../block/flags.ts';
import { Options } from '../../block/options/options.ts';
import { setBackendPermissions } from '../../block/graph/permissions.ts';
import { reopenNode } from '../../block/open/reopen.ts';
import { Errno } from '../../util/errno.ts';
import { CommandOptions, usage } from '../words/arguments.ts';
import { type Command, CommandFailure } from '../command.ts';
import type { Session } from '../session.ts';
import { cacheModes, invalid, mergeOptions } from './open.ts';

export const reopen = {
  name: 'reopen',
  args: '[(-r|-w)] [-c cache] [-o options]',
  oneline: 'reopens an image with new options',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  changesPicture: true,
  polls: true,
  options: 'c:o:rw',
  optionValues: { c: cacheModes },
  optionHelp: {
    c: `cache mode: ${cacheModes.join(', ')}`,
    o: 'options of the driver, as key=value,…',
    r: 'for reading only',
    w: 'for reading and writing',
  },
  help: [
    'Gives the open image new options; what is not given stays as it is. Waits for requests in flight first.',
    '  reopen -r                       no more writes',
    '  reopen -o lazy-refcounts=on     changes an option of qcow2',
  ],
  run: runReopen,
} satisfies Command;

interface Wishes {
  /** Bits of `Open`. */
  flags: number;
  writethrough: boolean;
  hasReadWrite: boolean;
  hasCache: boolean;
  options: Options | null;
}

async function runReopen(session: Session, argv: string[]): Promise<void> {
  const { image } = session;
  const wishes = parse(session, argv);
  const { flags } = wishes;
  if ((flags & Open.READ_WRITE) === 0) {
    await drain(session);
    const { perm, shared } = image.root;
    setBackendPermissions(image, perm & ~(Perm.WRITE | Perm.WRITE_UNCHANGED), shared);
  }
  const options = nodeOptions(session, wishes);
  await drain(session);
  await session.runRequest(reopen, argv, async () => {
    await reopenNode(image.top, options, true);
    image.writeCacheEnabled = !wishes.writethrough;
  });
}

function parse(session: Session, argv: string[]): Wishes {
  const { image } = session;
  const wishes: Wishes = {
    flags: image.top.openFlags,
    writethrough: !image.writeCacheEnabled,
    hasReadWrite: false,
    hasCache: false,
    options: null,
  };
  const words = new CommandOptions(session, argv, reopen.options);
  while (words.next()) {
    const { name, argument } = words;
    if (name === 'c') {
      const mode = parseCacheMode(argument) ?? invalid(session, 'cache', argument);
      wishes.flags = (wishes.flags & ~CACHE_FLAGS) | mode.flags;
      wishes.writethrough = mode.writethrough;
      wishes.hasCache = true;
    } else if (name === 'o') {
      wishes.options = mergeOptions(session, wishes.options, argument);
    } else {
      if (wishes.hasReadWrite) throw contradiction(session, 'Only one -r/-w option may be given');
      wishes.hasReadWrite = true;
      wishes.flags = name === 'r' ? wishes.flags & ~Open.READ_WRITE : wishes.flags | Open.READ_WRITE;
    }
  }
  if (words.operands.length > 0) throw usage();
  return wishes;
}

/** The options for the node: those given, and what the flags say about access and cache. */
function nodeOptions(session: Session, wishes: Wishes): Options {
  const { flags } = wishes;
  const options = wishes.options ?? new Options();
  if (options.has('read-only')) {
    if (wishes.hasReadWrite) throw contradiction(session, "Cannot set both -r/-w and 'read-only'");
  } else {
    options.set('read-only', (flags & Open.READ_WRITE) === 0);
  }
  if (options.has('cache.direct') || options.has('cache.no-flush')) {
    if (wishes.hasCache) throw contradiction(session, 'Cannot set both -c and the cache options');
  } else {
    options.set('cache.direct', (flags & Open.NO_CACHE) !== 0);
    options.set('cache.no-flush', (flags & Open.NO_FLUSH) !== 0);
  }
  return options;
}

function contradiction(session: Session, text: string): CommandFailure {
  session.error(text);
  return new CommandFailure(Errno.EINVAL);
}

async function drain(session: Session): Promise<void> {
  if (await session.drain()) return;
  if (session.wasInterrupted) throw new CommandFailure(Errno.EINTR);
  // qemu-io waits for ever here.
  session.error('reopen: some requests cannot end before others are resumed');
  for (const line of session.stuckLines()) session.error(`reopen: ${line}`);
  throw new CommandFailure(Errno.EBUSY);
}
