/** A client's request: whether it may be done, and doing it on the backend. */
import type { BlockBackend } from '../block/backend.ts';
import { BlockError } from '../block/error.ts';
import { Req } from '../block/flags.ts';
import { Errno } from '../util/errno.ts';
import { type Pending, run, type Steps } from '../util/steps.ts';
import type { Extent } from './export.ts';
import type { NbdLimits } from './server-limits.ts';
import type { Agreement } from './negotiation.ts';
import { inPieces, type PieceHost, type PieceSizes } from './pieces.ts';
import type { BlockPool, Replies, Room } from './replies.ts';
import { chunkBytes, mayTellHoles, type ReadPart, readParts } from './sparse-read.ts';
import { Command, CommandFlag, MAX_PAYLOAD_BYTES, readNumber, replyHeaderBytes, type RequestHeader } from './wire.ts';

/** Names of requests for views and messages, by `Command`. */
const operations: readonly string[] = ['read', 'write', 'disconnect', 'flush', 'discard', 'cache', 'write -z', 'map'];
/** Room for any reply but data: an error with its message. */
export const SHORT_REPLY_BYTES = 512;
/** Where the offset of data stands in its chunk. */
const CHUNK_OFFSET_BYTES = 8;
/** The payload of BLOCK_STATUS: the length of the range, and ids of contexts. */
const STATUS_LENGTH_BYTES = 8;
const CONTEXT_ID_BYTES = 4;

/** A request from the moment when its header was read to the moment when its reply is on the way. */
export class ClientRequest {
  readonly header: RequestHeader;
  /** The error that it gets without being done. */
  readonly refusal: BlockError | null;
  /** Memory of the client's share. */
  readonly heldBytes: number;
  payload: Buffer | null = null;
  /** Ends the use of the payload's memory. */
  freePayload: (() => void) | null = null;
  /** Where a read puts its data. */
  room: Room | null = null;
  /** The chunks of a read's reply; null for one of data. */
  parts: readonly ReadPart[] | null = null;
  /** The result of BLOCK_STATUS: contexts with their extents. */
  statuses: { readonly context: number; readonly extents: readonly Extent[] }[] = [];

  constructor(header: RequestHeader, refusal: BlockError | null, heldBytes: number) {
    this.header = header;
    this.refusal = refusal;
    this.heldBytes = heldBytes;
  }

  /** Its name in views and messages. */
  get operation(): string {
    return operations[this.header.type] ?? `request ${this.header.type}`;
  }
}

/** How many bytes of payload follow a header. */
export function payloadBytesOf({ type, flags, length }: RequestHeader, { style }: Agreement): number {
  const hasPayload = style === 'extended' ? (flags & CommandFlag.PAYLOAD_LEN) !== 0 : type === Command.WRITE;
  return hasPayload ? length : 0;
}

/** How many bytes of memory a request needs for its data, in either direction. */
export function dataBytesOf(
  header: RequestHeader,
  agreement: Agreement,
  sizes: PieceSizes,
  { maxExtents }: NbdLimits,
): number {
  switch (header.type) {
    case Command.READ:
      return header.length;
    case Command.CACHE:
      return Math.min(header.length, sizes.read);
    case Command.BLOCK_STATUS:
      return payloadBytesOf(header, agreement) + agreement.contexts.length * maxExtents * 16;
    default:
      return payloadBytesOf(header, agreement);
  }
}

/** Why a request is not done; null if it is. The errors are those of the protocol document. */
export function refusalOf(header: RequestHeader, agreement: Agreement): BlockError | null {
  const { type, flags, length } = header;
  const allowed = allowedFlags(type, agreement);
  if (allowed === null) return invalid(`unknown request type ${type}`);
  if ((flags & ~allowed) !== 0) return invalid(`flags 0x${flags.toString(16)} are not valid for it`);
  const isExtendedWrite = type === Command.WRITE && agreement.style === 'extended';
  if (isExtendedWrite && (flags & CommandFlag.PAYLOAD_LEN) === 0) return invalid('a write needs its payload');
  const movesData = type === Command.READ || type === Command.WRITE || type === Command.CACHE;
  if (movesData && length > MAX_PAYLOAD_BYTES) {
    return invalid(`${length} bytes are more than the longest payload, ${MAX_PAYLOAD_BYTES}`);
  }
  if (changes(type) && agreement.export.isReadOnly) return new BlockError(Errno.EPERM, 'the export is read-only');
  if (type === Command.FLUSH) return null;
  if (type === Command.BLOCK_STATUS) {
    if (agreement.contexts.length === 0) return invalid('no context was negotiated');
    if ((flags & CommandFlag.PAYLOAD_LEN) !== 0) return statusPayloadRefusal(length, agreement);
    if (length === 0) return invalid('the range is empty');
  }
  return rangeRefusal(header, length, agreement);
}

function allowedFlags(type: number, { style }: Agreement): number | null {
  const { FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN } = CommandFlag;
  const payload = style === 'extended' ? PAYLOAD_LEN : 0;
  switch (type) {
    case Command.READ:
      return style === 'simple' ? FUA : FUA | DF;
    case Command.WRITE:
      return FUA | payload;
    case Command.WRITE_ZEROES:
      return FUA | NO_HOLE | FAST_ZERO;
    case Command.BLOCK_STATUS:
      return FUA | REQ_ONE | payload;
    case Command.FLUSH:
    case Command.TRIM:
    case Command.CACHE:
      return FUA;
    default:
      return null;
  }
}

function changes(type: number): boolean {
  return type === Command.WRITE || type === Command.WRITE_ZEROES || type === Command.TRIM;
}

/** Writes beyond the end have no space, everything else there is invalid. */
function rangeRefusal({ type, offset }: RequestHeader, length: number, { sizeBytes }: Agreement): BlockError | null {
  if (offset <= sizeBytes && length <= sizeBytes - offset) return null;
  const message = `the range ends beyond the export's end, ${sizeBytes}`;
  const isWrite = type === Command.WRITE || type === Command.WRITE_ZEROES;
  return new BlockError(isWrite ? Errno.ENOSPC : Errno.EINVAL, message);
}

/** All contexts are asked for at most once, so that the payload is short. */
function statusPayloadRefusal(payloadBytes: number, { contexts }: Agreement): BlockError | null {
  const count = (payloadBytes - STATUS_LENGTH_BYTES) / CONTEXT_ID_BYTES;
  return Number.isInteger(count) && count >= 1 && count <= contexts.length ? null : invalid('the payload is malformed');
}

function invalid(message: string): BlockError {
  return new BlockError(Errno.EINVAL, message);
}

/** The parts of a connection that requests use. */
export interface RequestHost extends PieceHost {
  readonly agreement: Agreement;
  readonly replies: Replies;
  readonly pool: BlockPool;
  readonly limits: NbdLimits;
  readonly sizes: PieceSizes;
}

/** Does a request that was not refused, as the running coroutine. Fails as the backend does. */
export function execute(request: ClientRequest, host: RequestHost): Pending {
  const { header } = request;
  const { backend } = host.agreement.export;
  switch (header.type) {
    case Command.READ:
      return read(request, host);
    case Command.WRITE:
      return change(request, host, host.sizes.write, (offset, bytes, fua) => {
        const start = offset - header.offset;
        const data = request.payload ?? Buffer.alloc(0);
        return backend.pwrite(offset, bytes === data.length ? data : data.subarray(start, start + bytes), fua);
      });
    case Command.FLUSH:
      return backend.flush();
    case Command.WRITE_ZEROES:
      return change(request, host, host.sizes.mapping, (offset, bytes, fua) =>
        backend.pwriteZeroes(offset, bytes, fua | zeroFlags(header.flags)),
      );
    case Command.TRIM:
      return run(trim(request, host));
    case Command.CACHE:
      return run(cache(request, host));
    default:
      return run(blockStatus(request, host));
  }
}

/** Does a write in pieces: FUA is that of the only one, or a flush behind the last. */
function change(
  { header }: ClientRequest,
  host: RequestHost,
  pieceBytes: number,
  part: (offset: number, bytes: number, fua: number) => Pending,
): Pending {
  const { backend } = host.agreement.export;
  const fua = (header.flags & CommandFlag.FUA) === 0 ? 0 : Req.FUA;
  if (header.length <= pieceBytes) return part(header.offset, header.length, fua);
  return run(
    thenFlush(
      inPieces(host, header.offset, header.length, pieceBytes, (offset, bytes) => part(offset, bytes, 0)),
      backend,
      fua,
    ),
  );
}

function* thenFlush(done: Pending, backend: BlockBackend, fua: number): Steps<void> {
  yield done;
  if (fua !== 0) yield backend.flush();
}

/** Where the data of a read begins in its reply. */
export function readPrefixBytes({ style }: Agreement): number {
  return replyHeaderBytes(style) + (style === 'simple' ? 0 : CHUNK_OFFSET_BYTES);
}

function read(request: ClientRequest, host: RequestHost): Pending {
  const { header } = request;
  return mayTellHoles(header, host.agreement, host.limits) ? run(readSparse(request, host)) : readData(request, host);
}

function* readSparse(request: ClientRequest, host: RequestHost): Steps<void> {
  const { agreement, replies, sizes, limits } = host;
  const { style } = agreement;
  const { backend } = agreement.export;
  const parts = yield* readParts(agreement.export, request.header, limits.maxExtents);
  if (parts.length === 1 && parts[0]?.isHole === false) {
    yield readData(request, host);
    return;
  }
  request.parts = parts;
  const total = parts.reduce((sum, part) => sum + chunkBytes(style, part), 0);
  const room = replies.reserve(0, Math.max(total, SHORT_REPLY_BYTES));
  request.room = room;
  let { at } = room;
  for (const part of parts) {
    at += chunkBytes(style, part);
    if (part.isHole) continue;
    const dataAt = at - part.bytes - part.offset;
    yield inPieces(host, part.offset, part.bytes, sizes.read, (offset, bytes) =>
      backend.pread(offset, room.buffer.subarray(dataAt + offset, dataAt + offset + bytes)),
    );
  }
}

function readData(request: ClientRequest, host: RequestHost): Pending {
  const { agreement, replies, sizes } = host;
  const { offset: start, length } = request.header;
  const prefix = readPrefixBytes(agreement);
  // Room for an error in its place as well.
  const dataRoom = Math.max(length, SHORT_REPLY_BYTES - prefix);
  const room = replies.reserve(prefix, dataRoom, agreement.export.memoryAlignment);
  request.room = room;
  if (length === 0) return undefined;
  const { backend } = agreement.export;
  const dataAt = room.at + prefix - start;
  return inPieces(host, start, length, sizes.read, (offset, bytes) =>
    backend.pread(offset, room.buffer.subarray(dataAt + offset, dataAt + offset + bytes)),
  );
}

function zeroFlags(flags: number): number {
  const unmap = (flags & CommandFlag.NO_HOLE) === 0 ? Req.MAY_UNMAP : 0;
  return unmap | ((flags & CommandFlag.FAST_ZERO) === 0 ? 0 : Req.NO_FALLBACK);
}

function* trim({ header }: ClientRequest, host: RequestHost): Steps<void> {
  const { backend } = host.agreement.export;
  yield inPieces(host, header.offset, header.length, host.sizes.mapping, (offset, bytes) =>
    backend.pdiscard(offset, bytes),
  );
  if ((header.flags & CommandFlag.FUA) !== 0) yield backend.flush();
}

/** Reads what will be asked for: tables come into the caches of the layer, data into the host's. */
function* cache({ header }: ClientRequest, host: RequestHost): Steps<void> {
  const { agreement, pool, sizes } = host;
  const { backend } = agreement.export;
  const block = pool.take(Math.min(header.length, sizes.read));
  try {
    yield inPieces(host, header.offset, header.length, sizes.read, (offset, bytes) =>
      backend.pread(offset, block.buffer.subarray(0, bytes)),
    );
  } finally {
    pool.leave(block);
  }
}

function* blockStatus(request: ClientRequest, host: RequestHost): Steps<void> {
  const { agreement } = host;
  const { header } = request;
  const { bytes, contexts } = statusRange(request, agreement);
  const refusal = bytes === 0 ? invalid('the range is empty') : rangeRefusal(header, bytes, agreement);
  if (refusal !== null) throw refusal;
  const maxExtents = (header.flags & CommandFlag.REQ_ONE) === 0 ? host.limits.maxExtents : 1;
  const { backend } = agreement.export;
  // The image must not be closed meanwhile.
  backend.inFlight += 1;
  try {
    for (const context of contexts) {
      const extents = yield* agreement.export.extents(context, header.offset, bytes, maxExtents);
      request.statuses.push({ context, extents });
    }
  } finally {
    backend.inFlight -= 1;
  }
}

/** The range and the contexts that BLOCK_STATUS is about: a payload may name some of those that were agreed on. */
function statusRange(
  { header, payload }: ClientRequest,
  { contexts }: Agreement,
): { readonly bytes: number; readonly contexts: readonly number[] } {
  if (payload === null) return { bytes: header.length, contexts };
  const chosen = new Set<number>();
  for (let at = STATUS_LENGTH_BYTES; at < payload.length; at += CONTEXT_ID_BYTES) {
    const context = payload.readUInt32BE(at);
    if (!contexts.includes(context) || chosen.has(context)) throw invalid(`context ${context} is unknown or repeated`);
    chosen.add(context);
  }
  return { bytes: readNumber(payload, 0), contexts: [...chosen] };
}
