/** The transmission phase of one connection: requests are cut out of the input, begun, and answered as they end. */
import { BlockError } from '../block/error.ts';
import type { EventLoop } from '../block/loop/loop.ts';
import { assert } from '../util/assert.ts';
import { Errno } from '../util/errno.ts';
import type { Pending, Steps } from '../util/steps.ts';
import type { Share } from './budget.ts';
import type { Extent } from './export.ts';
import type { ByteQueue } from './byte-queue.ts';
import type { NbdLimits } from './server-limits.ts';
import { type Agreement, ProtocolError } from './negotiation.ts';
import { pieceSizesOf, workOf } from './pieces.ts';
import type { BlockPool, Replies } from './replies.ts';
import {
  ClientRequest,
  dataBytesOf,
  execute,
  payloadBytesOf,
  readPrefixBytes,
  refusalOf,
  type RequestHost,
  SHORT_REPLY_BYTES,
} from './request.ts';
import { writeParts } from './sparse-read.ts';
import {
  Chunk,
  Command,
  decodeRequest,
  MAX_PAYLOAD_BYTES,
  replyHeaderBytes,
  type RequestHeader,
  requestHeaderBytes,
  wireError,
  writeChunkHeader,
  writeNumber,
  writeSimpleReply,
} from './wire.ts';

/** Memory that every request counts for in its client's share, beside its data. */
const REQUEST_BYTES = 256;
/** Longer payloads that come in several chunks are gathered in blocks that are used again. */
const MIN_POOLED_BYTES = 16 << 10;
/** Error number and length of the message. */
const ERROR_PREFIX_BYTES = 6;

/**
 * How serving a slice ended: `more`, input is missing; `blocked`, the connection has to wait for memory or for one of
 * its requests; `again`, there may be more in the input; `over`, the client has said goodbye.
 */
export type Served = 'more' | 'blocked' | 'again' | 'over';

/** The parts of a connection that the transmission uses. */
export interface TransmissionHost {
  readonly loop: EventLoop;
  readonly limits: NbdLimits;
  readonly share: Share;
  readonly replies: Replies;
  readonly pool: BlockPool;
  /** How views name the client. */
  readonly origin: string;
  /** The server or the export ends: new requests are refused, and what is left of long ones. */
  readonly isStopping: boolean;
  /** A request has ended. */
  onEnded(): void;
}

/** The requests of one connection. */
export class Transmission {
  readonly #host: TransmissionHost;
  readonly #agreement: Agreement;
  readonly #requestHost: RequestHost;
  /** Requests that have begun and not ended. */
  readonly #inFlight = new Set<ClientRequest>();
  /** A request whose payload is still coming, and how much of it is there. */
  #filling: ClientRequest | null = null;
  #filledBytes = 0;
  /** Payload of a refused request that is still coming. */
  #skipBytes = 0;
  /** The client has left: nothing is answered. */
  #isGone = false;
  /** Requests that were begun since the connection was made. */
  requestCount = 0;
  /** The last slice, or the one that is being served: bytes of data that it moved, or work that is worth them. */
  sliceBytes = 0;

  constructor(host: TransmissionHost, agreement: Agreement) {
    this.#host = host;
    this.#agreement = agreement;
    const { replies, pool, loop, limits } = host;
    const sizes = pieceSizesOf(agreement.export.backend.top, limits);
    const checkStopping = (): void => {
      if (host.isStopping) throw stopping();
    };
    this.#requestHost = { agreement, replies, pool, loop, limits, sizes, checkStopping };
  }

  get agreement(): Agreement {
    return this.#agreement;
  }

  /** How many requests have begun and not ended. */
  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Begins requests from the input, up to a slice. Throws `ProtocolError` if the client cannot be understood. */
  *serve(input: ByteQueue): Steps<Served> {
    const { limits } = this.#host;
    const { sizes } = this.#requestHost;
    this.sliceBytes = 0;
    for (let count = 0; count < limits.sliceRequests && this.sliceBytes < limits.sliceBytes; count += 1) {
      const request = this.#next(input);
      if (typeof request === 'string') return request;
      this.sliceBytes += request.heldBytes + (request.refusal === null ? workOf(request.header, sizes, limits) : 0);
      const wait = this.#begin(request);
      if (wait !== undefined) yield wait;
    }
    return 'again';
  }

  /** The client has left. Its requests go on, or stay suspended, until they end; their replies are dropped. */
  leave(): void {
    this.#isGone = true;
    if (this.#filling !== null) this.#drop(this.#filling);
    this.#filling = null;
  }

  /** The next request, with its payload, if all of it is there. */
  #next(input: ByteQueue): ClientRequest | Exclude<Served, 'again'> {
    if (this.#skipBytes > 0) {
      this.#skipBytes -= input.skip(this.#skipBytes);
      if (this.#skipBytes > 0) return 'more';
    }
    if (this.#filling !== null) return this.#fill(this.#filling, input);
    const { limits, share, isStopping } = this.#host;
    if (this.#inFlight.size >= limits.maxRequests) return 'blocked';
    const { style } = this.#agreement;
    const head = input.head(requestHeaderBytes(style));
    if (head === null) return 'more';
    const header = decodeRequest(head, input.headAt, style);
    if (header === null) throw new ProtocolError('a request has the wrong magic number');
    if (header.type === Command.DISC) return 'over';

    const payloadBytes = payloadBytesOf(header, this.#agreement);
    const refusal = isStopping ? stopping() : refusalOf(header, this.#agreement);
    const dataBytes = refusal === null ? dataBytesOf(header, this.#agreement, this.#requestHost.sizes, limits) : 0;
    const heldBytes = dataBytes + REQUEST_BYTES;
    if (!share.take(heldBytes)) return 'blocked';
    input.skip(requestHeaderBytes(style));
    const request = new ClientRequest(header, refusal, heldBytes);
    if (payloadBytes === 0) return request;
    if (payloadBytes > MAX_PAYLOAD_BYTES) {
      assert(refusal !== null, 'a payload beyond the longest is refused');
      this.#answer(request, refusal);
      throw new ProtocolError(`a request has a payload of ${payloadBytes} bytes`);
    }
    if (refusal !== null) {
      this.#skipBytes = payloadBytes - input.skip(payloadBytes);
      return request;
    }
    if (input.isWhole(payloadBytes)) {
      request.payload = input.take(payloadBytes);
      return request;
    }
    this.#allocatePayload(request, payloadBytes);
    return this.#fill(request, input);
  }

  #allocatePayload(request: ClientRequest, bytes: number): void {
    if (bytes < MIN_POOLED_BYTES) {
      request.payload = Buffer.allocUnsafe(bytes);
      return;
    }
    const { pool } = this.#host;
    const block = pool.take(bytes);
    request.payload = block.buffer.subarray(0, bytes);
    request.freePayload = () => pool.leave(block);
  }

  #fill(request: ClientRequest, input: ByteQueue): ClientRequest | 'more' {
    const { payload } = request;
    if (payload === null) return request;
    if (this.#filling === null) this.#filledBytes = 0;
    this.#filledBytes += input.fill(payload, this.#filledBytes);
    const isWhole = this.#filledBytes === payload.length;
    this.#filling = isWhole ? null : request;
    return isWhole ? request : 'more';
  }

  #begin(request: ClientRequest): Pending {
    if (request.refusal !== null) {
      this.#answer(request, request.refusal);
      return undefined;
    }
    const { loop, origin } = this.#host;
    const { header, operation } = request;
    this.#inFlight.add(request);
    this.requestCount += 1;
    return loop.begin(
      { operation, offset: header.offset, bytes: header.length, origin },
      () => execute(request, this.#requestHost),
      (error) => this.#ended(request, error),
    );
  }

  #ended(request: ClientRequest, error: unknown): void {
    this.#inFlight.delete(request);
    const { loop } = this.#host;
    if (error === undefined || error instanceof BlockError) {
      this.#answer(request, error);
    } else {
      this.#drop(request);
      // A bug: it ends the program, as one in a command does.
      loop.schedule(() => Promise.reject(error));
    }
    this.#host.onEnded();
  }

  /** Gives back what a request holds, without a reply. */
  #drop(request: ClientRequest): void {
    request.freePayload?.();
    if (request.room !== null) this.#host.replies.abandon(request.room);
    this.#host.share.give(request.heldBytes);
  }

  #answer(request: ClientRequest, error: BlockError | undefined): void {
    if (this.#isGone) {
      this.#drop(request);
      return;
    }
    request.freePayload?.();
    if (error !== undefined) this.#answerError(request, error);
    else if (request.header.type === Command.READ) this.#answerRead(request);
    else if (request.header.type === Command.BLOCK_STATUS) this.#answerStatus(request);
    else this.#answerDone(request);
  }

  #answerRead({ header, room, parts, heldBytes }: ClientRequest): void {
    assert(room !== null, 'a read has room for its data');
    if (parts !== null) {
      const bytes = writeParts(room, this.#agreement.style, header, parts);
      this.#host.replies.commit(room, bytes, heldBytes);
      return;
    }
    const { style } = this.#agreement;
    const { buffer, at } = room;
    const prefix = readPrefixBytes(this.#agreement);
    let bytes = prefix + header.length;
    if (style === 'simple') {
      writeSimpleReply(buffer, at, header, 0);
    } else if (header.length === 0) {
      bytes = this.#writeChunk(buffer, at, header, Chunk.NONE, 0);
    } else {
      this.#writeChunk(buffer, at, header, Chunk.OFFSET_DATA, bytes - replyHeaderBytes(style));
      writeNumber(buffer, header.offset, at + prefix - 8);
    }
    this.#host.replies.commit(room, bytes, heldBytes);
  }

  #answerDone({ header, heldBytes }: ClientRequest): void {
    const { replies } = this.#host;
    const room = replies.reserve(0, SHORT_REPLY_BYTES);
    let bytes = replyHeaderBytes('simple');
    // A structured reply may be simple where it has no content.
    if (this.#agreement.style !== 'extended') writeSimpleReply(room.buffer, room.at, header, 0);
    else bytes = this.#writeChunk(room.buffer, room.at, header, Chunk.NONE, 0);
    replies.commit(room, bytes, heldBytes);
  }

  #answerError(request: ClientRequest, error: BlockError): void {
    const { header, heldBytes, operation } = request;
    const { replies } = this.#host;
    const room = request.room ?? replies.reserve(0, SHORT_REPLY_BYTES);
    const { buffer, at } = room;
    const number = wireError(error.errno);
    if (this.#agreement.style === 'simple') {
      writeSimpleReply(buffer, at, header, number);
      replies.commit(room, replyHeaderBytes('simple'), heldBytes);
      return;
    }
    const head = replyHeaderBytes(this.#agreement.style);
    const textAt = at + head + ERROR_PREFIX_BYTES;
    const textBytes = buffer.write(`${operation}: ${error.message}`, textAt, at + SHORT_REPLY_BYTES - textAt);
    this.#writeChunk(buffer, at, header, Chunk.ERROR, ERROR_PREFIX_BYTES + textBytes);
    buffer.writeUInt32BE(number, at + head);
    buffer.writeUInt16BE(textBytes, at + head + 4);
    replies.commit(room, head + ERROR_PREFIX_BYTES + textBytes, heldBytes);
  }

  #answerStatus({ header, statuses, heldBytes }: ClientRequest): void {
    const { replies } = this.#host;
    const { style } = this.#agreement;
    const isExtended = style === 'extended';
    const extentBytes = isExtended ? 16 : 8;
    const prefix = replyHeaderBytes(style) + (isExtended ? 8 : 4);
    const total = statuses.reduce((sum, { extents }) => sum + prefix + extents.length * extentBytes, 0);
    const room = replies.reserve(0, total);
    const { buffer } = room;
    let { at } = room;
    statuses.forEach(({ context, extents }, index) => {
      const payloadBytes = prefix - replyHeaderBytes(style) + extents.length * extentBytes;
      const type = isExtended ? Chunk.BLOCK_STATUS_EXT : Chunk.BLOCK_STATUS;
      at += this.#writeChunk(buffer, at, header, type, payloadBytes, index === statuses.length - 1);
      at = buffer.writeUInt32BE(context, at);
      if (isExtended) at = buffer.writeUInt32BE(extents.length, at);
      for (const extent of extents) at = writeExtent(buffer, at, extent, isExtended);
    });
    replies.commit(room, total, heldBytes);
  }

  /** Writes the header of a chunk; its length. */
  #writeChunk(
    into: Buffer,
    at: number,
    header: RequestHeader,
    type: number,
    payloadBytes: number,
    isLast = true,
  ): number {
    const { style } = this.#agreement;
    writeChunkHeader(into, at, style, header, { type, isLast, payloadBytes });
    return replyHeaderBytes(style);
  }
}

/** Writes an extent; where it ends. */
function writeExtent(into: Buffer, at: number, { bytes, flags }: Extent, isExtended: boolean): number {
  if (!isExtended) return into.writeUInt32BE(flags, into.writeUInt32BE(bytes, at));
  writeNumber(into, bytes, at);
  writeNumber(into, flags, at + 8);
  return at + 16;
}

function stopping(): BlockError {
  return new BlockError(Errno.ESHUTDOWN, 'the server is stopping');
}
