/**
 * Reads replies, chunk by chunk, into the exchanges that they belong to. Every length is checked before anything is
 * read.
 */
import { Errno } from '../../util/errno.ts';
import { alignDown, isAligned } from '../../util/align.ts';
import { type Reading, readExactly } from './channel.ts';
import { type Exchange, protocolError } from './exchange.ts';
import type { ExportInfo } from './negotiate.ts';
import { Chunk, CHUNK_DONE, Magic, readNumber } from '../../nbd/wire.ts';

/** The longest payload that is no data. */
const MAX_PAYLOAD_BYTES = 1000;
const MAGIC_BYTES = 4;
const SIMPLE_BYTES = 16;
const STRUCTURED_BYTES = 20;
/** Chunks whose type has this bit set tell of an error. */
const ERROR_BIT = 0x8000;
/** NBD's errors that there are; others count as EINVAL. Their numbers are those of Linux. */
const { EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN } = Errno;
const knownErrors: ReadonlySet<number> = new Set([0, EPERM, EIO, ENOMEM, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN]);

/** The exchanges of a connection. */
export interface Exchanges {
  readonly info: ExportInfo;
  /** The one with this cookie; undefined if there is none. */
  find(serial: number, slot: number): Exchange | undefined;
  /** The one whose reply is being read: it fails with the error that reading throws. */
  current: Exchange | null;
}

interface ChunkHeader {
  readonly isLast: boolean;
  readonly type: number;
  readonly length: number;
}

/** Reads replies until the connection ends or breaks the protocol (EINVAL). */
export function* readReplies(exchanges: Exchanges): Reading<never> {
  const header = Buffer.alloc(STRUCTURED_BYTES);
  const magic = header.subarray(0, MAGIC_BYTES);
  const restOfSimple = header.subarray(MAGIC_BYTES, SIMPLE_BYTES);
  const restOfStructured = header.subarray(MAGIC_BYTES, STRUCTURED_BYTES);
  for (;;) {
    yield magic;
    const isSimple = header.readUInt32BE(0) === Magic.SIMPLE_REPLY;
    if (!isSimple && header.readUInt32BE(0) !== Magic.STRUCTURED_REPLY) throw protocolError('bad magic of a reply');
    yield isSimple ? restOfSimple : restOfStructured;
    if (!isSimple && !exchanges.info.hasStructuredReplies) throw protocolError('structured reply was not negotiated');
    const exchange = exchanges.find(header.readUInt32BE(8), header.readUInt32BE(12));
    if (exchange === undefined) throw protocolError('reply to no request');
    exchanges.current = exchange;
    if (isSimple) {
      yield* readSimple(exchange, header.readUInt32BE(4));
    } else {
      const chunk = {
        isLast: (header.readUInt16BE(4) & CHUNK_DONE) !== 0,
        type: header.readUInt16BE(6),
        length: header.readUInt32BE(16),
      };
      yield* readChunk(exchange, chunk, exchanges.info);
    }
    exchanges.current = null;
  }
}

function* readSimple(exchange: Exchange, error: number): Reading<void> {
  if (exchange.mustBeStructured) throw protocolError('simple reply when structured reply chunk was expected');
  exchange.serverErrno = errnoOfServer(error);
  if (exchange.serverErrno === 0 && exchange.expected.kind === 'data') yield exchange.expected.data;
  exchange.end(0);
}

function errnoOfServer(error: number): number {
  return knownErrors.has(error) ? error : EINVAL;
}

function* readChunk(exchange: Exchange, chunk: ChunkHeader, info: ExportInfo): Reading<void> {
  const { isLast, type, length } = chunk;
  exchange.mustBeStructured = true;
  if (type === Chunk.NONE) {
    if (!isLast) throw protocolError('NBD_REPLY_TYPE_NONE chunk without NBD_REPLY_FLAG_DONE flag set');
    if (length > 0) throw protocolError('NBD_REPLY_TYPE_NONE chunk with nonzero length');
  } else if (type === Chunk.OFFSET_DATA) {
    yield* readData(exchange, length);
  } else {
    const isError = (type & ERROR_BIT) !== 0;
    if (length > 0 && !isError && exchange.expected.kind === 'nothing') throw protocolError('unexpected payload');
    if (length > MAX_PAYLOAD_BYTES) throw protocolError('payload too large');
    const payload = yield* readExactly(length, 'structured payload');
    if (isError) takeError(exchange, payload);
    else takePayload(exchange, type, payload, info);
  }
  if (isLast) exchange.end(0);
}

function* readData(exchange: Exchange, length: number): Reading<void> {
  if (exchange.expected.kind !== 'data') throw protocolError('data that was not asked for');
  if (length <= 8) throw protocolError('invalid payload for NBD_REPLY_TYPE_OFFSET_DATA');
  const offset = readNumber(yield* readExactly(8, 'OFFSET_DATA offset'), 0);
  const bytes = length - 8;
  const start = placeIn(exchange, offset, bytes);
  yield exchange.expected.data.subarray(start, start + bytes);
}

/** Where a part of the range lies in the data of the request, which it must not exceed. */
function placeIn({ request }: Exchange, offset: number, bytes: number): number {
  const start = offset - request.offset;
  if (start < 0 || bytes > request.length || start > request.length - bytes) {
    throw protocolError('server sent chunk exceeding requested region');
  }
  return start;
}

function takeError(exchange: Exchange, payload: Buffer): void {
  if (payload.length < 6) throw protocolError('invalid payload for structured error');
  const errno = errnoOfServer(payload.readUInt32BE(0));
  if (errno === 0) throw protocolError('server sent structured error chunk with error = 0');
  if (payload.readUInt16BE(4) > payload.length - 6) {
    throw protocolError('server sent structured error chunk with incorrect message size');
  }
  if (exchange.serverErrno === 0) exchange.serverErrno = errno;
}

function takePayload(exchange: Exchange, type: number, payload: Buffer, info: ExportInfo): void {
  const { expected } = exchange;
  if (expected.kind === 'data' && type === Chunk.OFFSET_HOLE) takeHole(exchange, expected.data, payload);
  else if (expected.kind === 'extent' && type === Chunk.BLOCK_STATUS) takeExtent(exchange, payload, info);
  else if (expected.kind !== 'nothing') throw protocolError(`unexpected reply type: ${type}`);
}

function takeHole(exchange: Exchange, data: Buffer, payload: Buffer): void {
  if (payload.length !== 12) throw protocolError('invalid payload for NBD_REPLY_TYPE_OFFSET_HOLE');
  const bytes = payload.readUInt32BE(8);
  if (bytes === 0) throw protocolError('server sent chunk exceeding requested region');
  const start = placeIn(exchange, readNumber(payload, 0), bytes);
  data.fill(0, start, start + bytes);
}

/** Takes the first extent; one is what was asked for, and more are no harm. */
function takeExtent(exchange: Exchange, payload: Buffer, info: ExportInfo): void {
  if (exchange.extent !== null) throw protocolError('several BLOCK_STATUS chunks in reply');
  if (payload.length < 12) throw protocolError('invalid payload for NBD_REPLY_TYPE_BLOCK_STATUS');
  if (payload.readUInt32BE(0) !== info.contextId) throw protocolError('unexpected context id');
  let bytes = payload.readUInt32BE(4);
  let flags = payload.readUInt32BE(8);
  if (bytes === 0) throw protocolError('server sent status chunk with zero length');
  const { minBlockBytes } = info;
  if (minBlockBytes > 0 && !isAligned(bytes, minBlockBytes)) {
    // Old servers end an extent with the file: data, if it is less than a block.
    flags = bytes > minBlockBytes ? flags : 0;
    bytes = bytes > minBlockBytes ? alignDown(bytes, minBlockBytes) : minBlockBytes;
  }
  exchange.extent = { bytes: Math.min(bytes, exchange.request.length), flags };
}
