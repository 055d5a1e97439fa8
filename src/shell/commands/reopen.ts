/** `reopen`: changes the options of the open image. */
import { CACHE_FLAGS } from '../../block/options/cache-mode.ts';
import { Open, Perm } from '../../block/flags.ts';
import { Options } from '../../block/options/options.ts';
import { setBackendPermissions } from '../../block/graph/permissions.ts';
import { reopenNode } from '../../block/open/reopen.ts';
import { Errno } from '../../util/errno.ts';
import type { Command, Shell } from '../command.ts';
import { CommandFailure, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { type Option, OptionTable, setting, type ValuesOf } from '../words/option-table.ts';
import { cacheArgument, cacheModes, mergeOptions } from './open.ts';
import { run } from '../../util/steps.ts';

const options = new OptionTable({
  access: {
    initial: null,
    letters: [
      { letter: 'r', help: 'for reading only', take: accessTaker('read-only') },
      { letter: 'w', help: 'for reading and writing', take: accessTaker('read-write') },
    ],
  } satisfies Option<Access | null>,
  cache: setting('c', 'cache', `cache mode: ${cacheModes.join(', ')}`, cacheArgument, { values: cacheModes }),
  driverOptions: {
    initial: null,
    letters: [
      {
        letter: 'o',
        argument: 'options',
        help: 'options of the driver, as key=value,…',
        take: (before: Options | null, text: string, session: SessionState): Options | null =>
          mergeOptions(session, before, text),
      },
    ],
  } satisfies Option<Options | null>,
});

export const reopen = {
  name: 'reopen',
  usage: '[(-r|-w)] [-c cache] [-o options]',
  oneline: 'reopens an image with new options',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  polls: true,
  options,
  help: [
    'Gives the open image new options; what is not given stays as it is. Waits for requests in flight first.',
    '  reopen -r                       no more writes',
    '  reopen -o lazy-refcounts=on     changes an option of qcow2',
  ],
  run: runReopen,
} satisfies Command;

type Access = 'read-only' | 'read-write';

function accessTaker(access: Access) {
  return (before: Access | null, _text: string, session: SessionState): Access => {
    if (before !== null) throw contradiction(session, 'Only one -r/-w option may be given');
    return access;
  };
}

async function runReopen(session: SessionState, argv: string[], shell: Shell): Promise<void> {
  const { image } = session;
  const parsed = options.parse(session, argv);
  if (parsed.words.operands.length > 0) throw usage();
  // An earlier one still waits.
  if (image.isDraining) throw stuck(session);
  // Requests of clients would never let the image be idle.
  image.beginDrained('reopen');
  let plan: Plan;
  try {
    plan = await prepare(session, parsed.options);
  } catch (error) {
    image.endDrained();
    throw error;
  }
  await shell.runRequest(reopen, argv, async () => {
    await run(image.idle(() => reopenNode(image.top, plan.driverOptions, true)));
    image.writeCacheEnabled = !plan.writethrough;
    session.context.trace.emit(0, image.top.nodeName, { kind: 'image-reopened' });
  });
}

/** How the image is reopened. */
interface Plan {
  readonly driverOptions: Options;
  readonly writethrough: boolean;
}

/** Lets the requests before end, and gives the permission to write back if the image is to be read-only. */
async function prepare(session: SessionState, given: ValuesOf<typeof options>): Promise<Plan> {
  const { image } = session;
  const { access, cache } = given;
  let flags = image.top.openFlags;
  if (cache !== null) flags = (flags & ~CACHE_FLAGS) | cache.flags;
  if (access !== null) flags = access === 'read-only' ? flags & ~Open.READ_WRITE : flags | Open.READ_WRITE;

  if ((flags & Open.READ_WRITE) === 0) {
    await drain(session);
    const { perm, shared } = image.root;
    setBackendPermissions(image, perm & ~(Perm.WRITE | Perm.WRITE_UNCHANGED), shared);
  }
  const writethrough = cache === null ? !image.writeCacheEnabled : cache.writethrough;
  const driverOptions = nodeOptions(session, given, flags);
  await drain(session);
  return { driverOptions, writethrough };
}

/** The options for the node: those given, and what the flags say about access and cache. */
function nodeOptions(session: SessionState, given: ValuesOf<typeof options>, flags: number): Options {
  const all = given.driverOptions ?? new Options();
  if (all.has('read-only')) {
    if (given.access !== null) throw contradiction(session, "Cannot set both -r/-w and 'read-only'");
  } else {
    all.set('read-only', (flags & Open.READ_WRITE) === 0);
  }
  if (all.has('cache.direct') || all.has('cache.no-flush')) {
    if (given.cache !== null) throw contradiction(session, 'Cannot set both -c and the cache options');
  } else {
    all.set('cache.direct', (flags & Open.NO_CACHE) !== 0);
    all.set('cache.no-flush', (flags & Open.NO_FLUSH) !== 0);
  }
  return all;
}

function contradiction(session: SessionState, text: string): CommandFailure {
  session.error(text);
  return new CommandFailure(Errno.EINVAL);
}

async function drain(session: SessionState): Promise<void> {
  const { background, image } = session;
  // Requests of clients do not report here, but count for the image.
  if (await background.pollUntil(() => background.unfinished === 0 && image.inFlight === 0)) return;
  throw session.wasInterrupted ? new CommandFailure(Errno.EINTR) : stuck(session);
}

/** Says what cannot end; qemu-io waits for ever here. */
function stuck(session: SessionState): CommandFailure {
  session.error('reopen: some requests cannot end before others are resumed');
  for (const line of session.suspendedLines()) session.error(`reopen: ${line}`);
  return new CommandFailure(Errno.EBUSY);
}
