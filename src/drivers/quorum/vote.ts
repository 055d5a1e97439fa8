/** Reading all copies of a quorum, and the vote on what they say. */
import { BlockError } from '../../block/error.ts';
import { Req } from '../../block/flags.ts';
import { sideBySide } from '../../block/loop/side-by-side.ts';
import { preadv } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import { checkThreshold, countVotes, type Version, winnerOf } from './ballot.ts';
import type { QuorumNode } from './open.ts';

/** Fills `data` with what the most copies have. EIO if these are fewer than the threshold. */
export function* readByVote(node: QuorumNode, offset: number, data: Buffer, flags: number): Steps<void> {
  const { copies, threshold } = node.state;
  const parts = copies.map(() => node.context.allocate(data.length));
  const errnos = yield* sideBySide(
    node.loop,
    copies.map((copy, index) => () => preadv(copy, offset, parts[index] ?? data, 0)),
  );
  checkThreshold(errnos, threshold);
  const votes = [...parts.entries()].filter(([index]) => errnos[index] === 0);
  const [[, first] = []] = votes;
  assert(first !== undefined, 'the threshold is at least one');
  if (node.state.isBlkverify) compare(node, offset, votes);
  if (votes.every(([, part]) => part.equals(first))) {
    first.copy(data);
    return;
  }
  const versions = countVotes(votes, (a, b) => a.equals(b));
  const winner = winnerOf(versions);
  if (winner === undefined || winner.voters.length < threshold) throw new BlockError(Errno.EIO);
  winner.value.copy(data);
  if (node.state.rewritesCorrupted) yield* rewrite(node, versions, winner, { offset, flags });
}

/** Ends the program at the first byte in which two copies differ. */
function compare(node: QuorumNode, offset: number, votes: readonly (readonly [number, Buffer])[]): void {
  const [[, a] = [], [, b] = []] = votes;
  if (a === undefined || b === undefined || a.equals(b)) return;
  const at = a.findIndex((byte, index) => byte !== b[index]);
  node.context.mismatch(`quorum: offset=${offset} bytes=${a.length} contents mismatch at offset ${offset + at}`);
}

/** Writes what won to the copies that had something else. Failures do not count. */
function* rewrite(
  node: QuorumNode,
  versions: readonly Version<Buffer>[],
  winner: Version<Buffer>,
  { offset, flags }: { readonly offset: number; readonly flags: number },
): Steps<void> {
  const bad = versions.filter((version) => version !== winner).flatMap(({ voters }) => voters.toReversed());
  const copies = bad.flatMap((index) => node.state.copies[index] ?? []);
  yield* sideBySide(
    node.loop,
    copies.map((copy) => () => pwritev(copy, offset, winner.value, flags & ~Req.WRITE_UNCHANGED)),
  );
}
