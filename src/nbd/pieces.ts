/**
 * Long requests are done in pieces: between two of them the shell and other clients have their turn.
 *
 * A client may ask for 4 GiB to be zeroed, and for 32 MiB to be read out of compressed clusters, in one request. What
 * such a request does to the image has no other bound, and the loop does nothing else meanwhile.
 */
import type { BlockNode } from '../block/graph/node.ts';
import type { EventLoop, WaitReason } from '../block/loop/loop.ts';
import { clusterBytes } from '../block/request/info.ts';
import { alignDown } from '../util/align.ts';
import { type Pending, run, type Steps } from '../util/steps.ts';
import type { NbdLimits } from './server-limits.ts';
import { Command, type RequestHeader } from './wire.ts';

/** The unit of pieces on a node without clusters. */
const UNIT_BYTES = 64 << 10;
const waitsForOthers: WaitReason = { kind: 'host-io' };

/** How many bytes of a request are done in one piece: multiples of the node's clusters and of its request alignment. */
export interface PieceSizes {
  /** Of a request that reads data. */
  readonly read: number;
  readonly write: number;
  /** Of one that changes the mapping, or looks it up. */
  readonly mapping: number;
}

/** The sizes of pieces for requests on a node. A piece has events of its own: as few as may be are cut. */
export function pieceSizesOf(node: BlockNode, { readBytes, pieceClusters, maxPieceBytes }: NbdLimits): PieceSizes {
  const cluster = clusterBytes(node);
  const least = Math.max(cluster, node.limits.requestAlignment);
  const mapping = Math.max(Math.min((cluster || UNIT_BYTES) * pieceClusters, maxPieceBytes), least);
  // Clusters may be compressed.
  return { read: cluster === 0 ? mapping : Math.max(Math.min(readBytes, mapping), least), write: mapping, mapping };
}

/**
 * The work that a request does before others have their turn, as bytes of data beside those that it holds: a piece that
 * changes the mapping is worth a whole turn.
 */
export function workOf({ type, length }: RequestHeader, sizes: PieceSizes, { turnBytes }: NbdLimits): number {
  switch (type) {
    case Command.WRITE_ZEROES:
    case Command.TRIM:
    case Command.BLOCK_STATUS:
      return Math.min(1, length / sizes.mapping) * turnBytes;
    default:
      return 0;
  }
}

/** The parts of a connection that long requests use. */
export interface PieceHost {
  readonly loop: EventLoop;
  /** Fails if the server is stopping. */
  checkStopping(): void;
}

/**
 * Does a range as one piece if it is short, else piece by piece, in their order; the first that fails is the last. When
 * the server is stopped, what is left is not done.
 */
export function inPieces(
  host: PieceHost,
  offset: number,
  bytes: number,
  pieceBytes: number,
  part: (offset: number, bytes: number) => Pending,
): Pending {
  return bytes <= pieceBytes ? part(offset, bytes) : run(pieces(host, offset, offset + bytes, pieceBytes, part));
}

function* pieces(
  host: PieceHost,
  start: number,
  end: number,
  pieceBytes: number,
  part: (offset: number, bytes: number) => Pending,
): Steps<void> {
  for (let at = start; at < end; ) {
    if (at > start) {
      yield* letOthersIn(host.loop);
      host.checkStopping();
    }
    const pieceEnd = Math.min(alignDown(at, pieceBytes) + pieceBytes, end);
    yield part(at, pieceEnd - at);
    at = pieceEnd;
  }
}

/** Puts the running request off until Node has looked for input, of the shell, too. ECANCELED if it is cancelled. */
export function* letOthersIn(loop: EventLoop): Steps<void> {
  yield loop.parkOutside(waitsForOthers, (arrived) => {
    const turn = setImmediate(arrived);
    return () => clearImmediate(turn);
  });
  loop.checkCancelled();
}
