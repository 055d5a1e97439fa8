/** A request that was sent, and what its reply has brought so far. */
import { assert } from '../../util/assert.ts';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import type { RequestBody } from '../../nbd/wire.ts';

/** The state of the range from the offset that BLOCK_STATUS asked for. */
export interface Extent {
  readonly bytes: number;
  /** Bits of `Allocation`. */
  readonly flags: number;
}

/** The content of a reply, if it is no error. */
export type Expected =
  | { readonly kind: 'nothing' }
  /** As many bytes as the request is long. */
  | { readonly kind: 'data'; readonly data: Buffer }
  | { readonly kind: 'extent' };

/** A request in flight. It has ended when `outcome` is there. */
export class Exchange {
  readonly request: RequestBody;
  readonly expected: Expected;
  /** Its place among those in flight; half of the cookie. */
  readonly slot: number;
  /** The other half: no two exchanges of a connection have the same, so that a reply that comes twice is found out. */
  readonly serial: number;
  /** After the first chunk no simple reply may follow. */
  mustBeStructured: boolean;
  /** The first error that the server has told, as an errno; 0 for none. */
  serverErrno = 0;
  extent: Extent | null = null;
  /** Null while the reply is not complete. Of a failure of the connection: its errno, else 0. */
  outcome: number | null = null;
  #onEnd: (() => void) | null = null;

  constructor(
    request: RequestBody,
    expected: Expected,
    place: { slot: number; serial: number },
    isStructured: boolean,
  ) {
    this.request = request;
    this.expected = expected;
    this.slot = place.slot;
    this.serial = place.serial;
    this.mustBeStructured = isStructured && expected.kind === 'data';
  }

  /** Calls `callback` when the exchange has ended; the function returned takes that back. */
  whenEnded(callback: () => void): () => void {
    assert(this.outcome === null, 'the exchange has not ended');
    this.#onEnd = callback;
    return () => {
      this.#onEnd = null;
    };
  }

  /** Ends the exchange: with errno 0 if its reply is complete, else because of the connection. */
  end(errno: number): void {
    if (this.outcome !== null) return;
    const hasNoExtent = this.expected.kind === 'extent' && this.extent === null && this.serverErrno === 0;
    this.outcome = errno === 0 && hasNoExtent ? Errno.EIO : errno;
    this.#onEnd?.();
  }
}

/** A reply that breaks the protocol. */
export function protocolError(message: string): BlockError {
  return new BlockError(Errno.EINVAL, `Protocol error: ${message}`);
}
