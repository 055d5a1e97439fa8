/** Bounds on what untrusted clients can make the server hold or do. */
import { MAX_PAYLOAD_BYTES } from './wire.ts';

/** Bounds of a server; lengths in bytes, times in nanoseconds. */
export interface NbdLimits {
  /** Connections at a time; those whose client has left while a request is suspended count. More are closed at once. */
  readonly maxConnections: number;
  /** Requests of a connection that have begun and not ended. Beyond, its socket is not read. */
  readonly maxRequests: number;
  /**
   * Memory of a connection: data of its requests, and replies that its client has not read. Beyond, its socket is not
   * read. One request is always let through.
   */
  readonly maxConnectionBytes: number;
  /**
   * Memory of all connections together. Beyond, a connection that has nothing of it may still do small requests
   * (`smallRequestBytes`); others wait.
   */
  readonly maxTotalBytes: number;
  readonly smallRequestBytes: number;
  /**
   * While another client waits for memory, one that holds some and has read none of its replies for this long is
   * disconnected.
   */
  readonly stallNs: number;
  /** The handshake must be over by then. */
  readonly handshakeNs: number;
  /** Data of an option of the handshake. Longer ones are skipped and refused. */
  readonly maxOptionBytes: number;
  /** Extents in a reply to BLOCK_STATUS, for each context. */
  readonly maxExtents: number;
  /** A slice: requests and bytes of data that one connection moves before others have their turn. */
  readonly sliceRequests: number;
  readonly sliceBytes: number;
  /** Bytes of data that all connections move before the host is asked for new input (of the shell, too). */
  readonly turnBytes: number;
  /** Data that a request reads out of clusters in one piece. Between two pieces others have their turn. */
  readonly readBytes: number;
  /** Reads from this length on tell holes; for shorter ones looking for them costs more than it saves. */
  readonly minSparseBytes: number;
  /** Clusters that a request writes, zeroes or discards in one piece, which has at most `maxPieceBytes`. */
  readonly pieceClusters: number;
  readonly maxPieceBytes: number;
  /** How long replies may take to go out when a server stops. */
  readonly goodbyeNs: number;
}

/** The bounds of the program. */
export const defaultLimits: NbdLimits = {
  maxConnections: 64,
  maxRequests: 128,
  maxConnectionBytes: 2 * MAX_PAYLOAD_BYTES,
  maxTotalBytes: 8 * MAX_PAYLOAD_BYTES,
  smallRequestBytes: 256 << 10,
  stallNs: 30e9,
  handshakeNs: 10e9,
  maxOptionBytes: 64 << 10,
  maxExtents: 4096,
  sliceRequests: 64,
  sliceBytes: 1 << 20,
  turnBytes: 8 << 20,
  readBytes: 2 << 20,
  minSparseBytes: 64 << 10,
  pieceClusters: 512,
  maxPieceBytes: 128 << 20,
  goodbyeNs: 1e9,
};
