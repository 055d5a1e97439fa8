/** The work of `compare`: two images, run by run of one state, with qemu-img's words. */
import type { BlockBackend } from '../../block/backend.ts';
import { BlockError } from '../../block/error.ts';
import { Status } from '../../block/flags.ts';
import { closeBackend } from '../../block/graph/graph.ts';
import { openBackend } from '../../block/open/open.ts';
import { Options } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { privateContext } from './private-context.ts';

const CHUNK_BYTES = 2 << 20;
const SECTOR_BYTES = 512;
const wholeChain = { base: null, includeBase: false, wantZero: true };

/** Compares the open image with a file; fails with EIO if they differ. */
export async function compareWith(
  session: SessionState,
  filename: string,
  { isStrict, format }: { isStrict: boolean; format: string | null },
): Promise<void> {
  const options = new Options(format === null ? [] : [['driver', format]]);
  let other: BlockBackend;
  try {
    other = await openBackend(privateContext(session), { filename, options, flags: 0 });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, `Could not open '${filename}': ${error.message}`);
  }
  try {
    const problem = await difference(session, session.image, other, isStrict);
    session.output.stdout(`${problem ?? 'Images are identical.'}\n`);
    if (problem !== null) throw new CommandFailure(Errno.EIO);
  } finally {
    await closeBackend(other);
  }
}

/** The first difference in words, or null. */
async function difference(
  session: SessionState,
  one: BlockBackend,
  two: BlockBackend,
  isStrict: boolean,
): Promise<string | null> {
  const [first, second] = [one.getLength(), two.getLength()];
  if (first !== second) {
    if (isStrict) return 'Strict mode: Image size mismatch!';
    session.output.stdout('Warning: Image size mismatch!\n');
  }
  const common = Math.min(first, second);
  for (let offset = 0; offset < common; ) {
    await session.loop.breathe();
    const states = [await stateAt(one, offset, common - offset), await stateAt(two, offset, common - offset)] as const;
    if (isStrict && states[0].flags !== states[1].flags) {
      return `Strict mode: Offset ${offset} block status mismatch!`;
    }
    const bytes = Math.min(states[0].bytes, states[1].bytes, CHUNK_BYTES);
    const [isZero, isOtherZero] = [(states[0].flags & Status.ZERO) !== 0, (states[1].flags & Status.ZERO) !== 0];
    const found = isZero && isOtherZero ? null : await differenceIn(one, two, offset, bytes, isZero, isOtherZero);
    if (found !== null) return `Content mismatch at offset ${found}!`;
    // A run of zeroes on both sides is passed at once.
    offset += isZero && isOtherZero ? Math.min(states[0].bytes, states[1].bytes) : bytes;
  }
  const longer = first > second ? one : two;
  for (let offset = common; offset < longer.getLength(); ) {
    await session.loop.breathe();
    const { flags, bytes } = await stateAt(longer, offset, longer.getLength() - offset);
    const isData = (flags & Status.ALLOCATED) !== 0 && (flags & Status.ZERO) === 0;
    const length = isData ? Math.min(bytes, CHUNK_BYTES) : bytes;
    const found = isData ? await firstNonzero(longer, offset, length) : null;
    if (found !== null) return `Content mismatch at offset ${found}!`;
    offset += length;
  }
  return null;
}

async function stateAt(image: BlockBackend, offset: number, bytes: number): Promise<{ flags: number; bytes: number }> {
  const status = await image.blockStatus(wholeChain, offset, bytes);
  // An end that is not at a sector's: what is left counts as one run.
  return status.bytes === 0 ? { flags: Status.ZERO, bytes } : status;
}

async function differenceIn(
  one: BlockBackend,
  two: BlockBackend,
  offset: number,
  bytes: number,
  isZero: boolean,
  isOtherZero: boolean,
): Promise<number | null> {
  if (isZero) return firstNonzero(two, offset, bytes);
  if (isOtherZero) return firstNonzero(one, offset, bytes);
  const [a, b] = [await read(one, offset, bytes), await read(two, offset, bytes)];
  if (a.equals(b)) return null;
  for (let at = 0; at < bytes; at += SECTOR_BYTES) {
    if (!a.subarray(at, at + SECTOR_BYTES).equals(b.subarray(at, at + SECTOR_BYTES))) return offset + at;
  }
  return null;
}

async function firstNonzero(image: BlockBackend, offset: number, bytes: number): Promise<number | null> {
  const at = (await read(image, offset, bytes)).findIndex((byte) => byte !== 0);
  return at < 0 ? null : offset + at;
}

async function read(image: BlockBackend, offset: number, bytes: number): Promise<Buffer> {
  const data = Buffer.alloc(bytes);
  await image.pread(offset, data);
  return data;
}
