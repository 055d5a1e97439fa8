/** A look at an image after a case: whether it opens, what its check says, and what it holds. */
import { BlockError } from '../block/error.ts';
import type { BlockNode } from '../block/graph/node.ts';
import type { CheckResult } from '../block/driver.ts';
import { Errno } from '../util/errno.ts';
import { openAsIs } from './case.ts';
import type { DiskModel, Violation } from './model/disk-model.ts';
import { ContentCopy, eachPiece, type GuestContent, type PieceVisitor, readContent } from './model/guest-content.ts';
import type { World } from './world.ts';
import type { Disks } from '../sandbox/disks/disks.ts';

/** The state of an image between two runs. */
export interface Aftermath {
  /** The reason why it cannot be opened or checked; null if it can. */
  readonly failure: string | null;
  /** The reason why it cannot be read to the end; null if it can. */
  readonly readFailure: string | null;
  /** Null if it was not opened, or if its format has no check. */
  readonly check: CheckResult | null;
  /** The first complaint of the check; empty if there was none. */
  readonly complaint: string;
  readonly violation: Violation | null;
}

/** The content that the disk must have: see `DiskModel.compare`. */
export interface Expectation {
  readonly model: DiskModel;
  readonly isFlushed: boolean;
}

/**
 * Opens the image as the scenario does, which repairs it if it was not closed, checks it and compares what it holds.
 * The disks may be changed by that.
 */
export async function lookAfter(world: World, disks: Disks, expected: Expectation): Promise<Aftermath> {
  const comparison = new Comparison(expected);
  const found = await look(world, disks, async ({ backend }) => {
    if (backend !== null) await eachPiece(backend, comparison.add);
  });
  return { ...found, violation: comparison.violation };
}

/** Holds the pieces of a disk against what it must hold. */
class Comparison {
  violation: Violation | null = null;
  readonly #expected: Expectation;

  constructor(expected: Expectation) {
    this.#expected = expected;
  }

  /** False from the first violation on. */
  readonly add: PieceVisitor = (offset, data, bytes) => {
    const { model, isFlushed } = this.#expected;
    this.violation ??= model.compare(offset, data, bytes, isFlushed);
    return this.violation === null;
  };
}

/** Disks in one state, whatever they were to hold. */
interface Sight {
  readonly found: Omit<Aftermath, 'violation'>;
  readonly content: GuestContent;
}

/** Bytes of data in one state that is remembered; disks that hold more are read each time. */
const SIGHT_MAX_BYTES = 1 << 20;
/** States that are remembered, those that were seen last. */
const SIGHTS_MAX = 64;

/** Looks at the disks that the cases of one search leave. Many leave the same: each of those is opened once. */
export class Sights {
  readonly #known = new Map<string, Sight>();

  /** See `lookAfter`; `world` has the image of all calls. */
  async lookAfter(world: World, disks: Disks, expected: Expectation): Promise<Aftermath> {
    const state = disks.all.map(({ path, content }) => `${path} ${content.digest()}`).join('\n');
    const comparison = new Comparison(expected);
    const known = this.#known.get(state);
    if (known !== undefined) {
      this.#remember(state, known);
      known.content.each(comparison.add);
      return { ...known.found, violation: comparison.violation };
    }
    const copy = new ContentCopy(SIGHT_MAX_BYTES);
    let content: GuestContent | null = null;
    const found = await look(world, disks, async ({ backend }) => {
      if (backend === null) return;
      await eachPiece(backend, (...piece) => [comparison.add(...piece), copy.add(...piece)].includes(true));
      if (!copy.isFull) content = copy.end(backend.getLength());
    });
    if (content !== null) this.#remember(state, { found, content });
    return { ...found, violation: comparison.violation };
  }

  #remember(state: string, sight: Sight): void {
    this.#known.delete(state);
    this.#known.set(state, sight);
    const [oldest] = this.#known.keys();
    if (this.#known.size > SIGHTS_MAX && oldest !== undefined) this.#known.delete(oldest);
  }
}

/** The image before any case: its content, and what its check says already then. */
export interface Baseline {
  readonly content: GuestContent;
  readonly check: CheckResult | null;
  readonly sights: Sights;
}

/** Throws BlockError if the image of the scenario cannot be opened and read. */
export async function readBaseline(world: World): Promise<Baseline> {
  const disks = world.disks(false);
  let content: GuestContent | null = null;
  const { failure, readFailure, check } = await look(world, disks, async ({ backend }) => {
    if (backend !== null) content = await readContent(backend);
  });
  disks.release();
  if (content === null || failure !== null || readFailure !== null) {
    throw new BlockError(Errno.EIO, failure ?? readFailure ?? 'the image cannot be read');
  }
  return { content, check, sights: new Sights() };
}

type Opened = Awaited<ReturnType<typeof openAsIs>>['session'];

async function look(
  world: World,
  disks: Disks,
  body: (session: Opened) => Promise<void>,
): Promise<Omit<Aftermath, 'violation'>> {
  const { session, transcript, isOpen } = await openAsIs(world, disks);
  if (!isOpen) return { failure: firstLine(transcript.stderr), readFailure: null, check: null, complaint: '' };
  const before = transcript.stderr.length;
  let failure: string | null = null;
  let readFailure: string | null = null;
  let check: CheckResult | null = null;
  let complaint = '';
  const ended = await session.loop.run('check', async () => {
    try {
      const node = checkedNode(session.top);
      check = (await node?.driver.check?.(node, { repair: 'none' })) ?? null;
      complaint = firstLine(transcript.stderr.slice(before));
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      failure = error.message;
      return;
    }
    try {
      await body(session);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      readFailure = error.message;
    }
  });
  if (!ended) failure = 'a request on it never ends';
  await session.close();
  return { failure, readFailure, check, complaint };
}

/** The node whose format can be checked, from the top down; null if there is none. */
function checkedNode(top: BlockNode): BlockNode | null {
  for (let node: BlockNode | null = top; node !== null; node = node.primaryChild?.node ?? null) {
    if (node.driver.check !== undefined) return node;
  }
  return null;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.replace(/^qemu-io: /, '') ?? '';
}
