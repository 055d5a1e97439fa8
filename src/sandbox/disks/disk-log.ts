/** The log of a case: each request that reached a file, in the order in which they reached it. */

/**
 * A request to a file. Offsets and lengths are in bytes, 0 for a flush; a truncate has the new length as its offset.
 */
export interface FileRequest {
  readonly kind: 'read' | 'write' | 'zero' | 'discard' | 'truncate' | 'flush';
  /** The file, as an index into the disks of the case. */
  readonly disk: number;
  readonly offset: number;
  readonly bytes: number;
  /** Bits of `Req`; of a write of zeroes alone. */
  readonly flags: number;
  /** Number of the coroutine that made it; 0 outside of requests. */
  readonly request: number;
  /**
   * The line of the script that ran then, from 1; 0 before the first, and behind the last while the image is closed.
   */
  readonly command: number;
}

/** A request that has changed the file, or has put on stable storage what changed it before. */
export interface LogEntry extends FileRequest {
  readonly kind: 'write' | 'zero' | 'discard' | 'truncate' | 'flush';
  /** A copy of the data of a write; null for others. */
  readonly data: Buffer | null;
}
