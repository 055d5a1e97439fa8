/** NBD on the wire: magic numbers, codes and the layout of messages (the NBD protocol document, `doc/proto.md`). */
import { Errno } from '../util/errno.ts';

/** The first 16 bytes that a server says: "NBDMAGIC" and "IHAVEOPT". The second half begins each option of a client. */
export const GREETING_MAGIC = Buffer.from('NBDMAGICIHAVEOPT', 'latin1');
/** "IHAVEOPT" as two halves of 32 bits. */
export const OPTION_MAGIC = { high: 0x49484156, low: 0x454f5054 } as const;
/** Begins the second half with servers of the oldest protocol, which have one export and no options. */
export const OLDSTYLE_MAGIC = { high: 0x00004202, low: 0x81861253 } as const;
/** Begins each reply to an option. */
export const OPTION_REPLY_MAGIC = { high: 0x0003e889, low: 0x045565a9 } as const;

/** The first 32 bits of messages in the transmission phase. */
export const Magic = {
  REQUEST: 0x25609513,
  EXTENDED_REQUEST: 0x21e41c71,
  SIMPLE_REPLY: 0x67446698,
  STRUCTURED_REPLY: 0x668e33ef,
  EXTENDED_REPLY: 0x6e8a278c,
} as const;

/** Flags of the handshake; a client answers with those of the server that it knows. */
export const HandshakeFlag = { FIXED_NEWSTYLE: 1, NO_ZEROES: 2 } as const;

/** Capabilities of an export; bits of the 16-bit transmission flags. */
export const TransmissionFlag = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  SEND_CACHE: 1 << 10,
  SEND_FAST_ZERO: 1 << 11,
  BLOCK_STATUS_PAYLOAD: 1 << 12,
} as const;

/** Options of the handshake. */
export const Option = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

/** Replies to options; those with the highest bit set are errors. */
export const OptionReply = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: 0x80000001,
  ERR_POLICY: 0x80000002,
  ERR_INVALID: 0x80000003,
  ERR_PLATFORM: 0x80000004,
  ERR_TLS_REQD: 0x80000005,
  ERR_UNKNOWN: 0x80000006,
  ERR_SHUTDOWN: 0x80000007,
  ERR_BLOCK_SIZE_REQD: 0x80000008,
  ERR_TOO_BIG: 0x80000009,
  ERR_EXT_HEADER_REQD: 0x8000000a,
} as const;

/** Types of information in replies to INFO and GO. */
export const Info = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** Types of requests. */
export const Command = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

/** Flags of requests. */
export const CommandFlag = {
  FUA: 1 << 0,
  NO_HOLE: 1 << 1,
  DF: 1 << 2,
  REQ_ONE: 1 << 3,
  FAST_ZERO: 1 << 4,
  PAYLOAD_LEN: 1 << 5,
} as const;

/** Types of the chunks of structured and extended replies. */
export const Chunk = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR: 0x8001,
} as const;

/** The last chunk of a reply. */
export const CHUNK_DONE = 1;

/** The states of `base:allocation`. */
export const Allocation = { HOLE: 1, ZERO: 2 } as const;

/** The longest string of the protocol: names of exports, contexts, error messages. */
export const MAX_STRING_BYTES = 4096;
/** The payload that every server has to take, and the longest that ours does. */
export const MAX_PAYLOAD_BYTES = 32 << 20;
/** Magic, option, length. */
export const OPTION_HEADER_BYTES = 16;

/** Which headers a client and the server have agreed on. */
export type HeaderStyle = 'simple' | 'structured' | 'extended';

const requestBytes: Record<HeaderStyle, number> = { simple: 28, structured: 28, extended: 32 };
const chunkHeaderBytes: Record<HeaderStyle, number> = { simple: 16, structured: 20, extended: 32 };

/** The length of a request's header. */
export function requestHeaderBytes(style: HeaderStyle): number {
  return requestBytes[style];
}

/** The length of the header of a reply or of one of its chunks. */
export function replyHeaderBytes(style: HeaderStyle): number {
  return chunkHeaderBytes[style];
}

/**
 * The header of a request. Numbers beyond 2^53 are rounded; they are beyond every export. Cookie and offset stand in
 * replies as they came: as two halves of 32 bits.
 */
export interface RequestHeader {
  readonly type: number;
  readonly flags: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offset: number;
  readonly offsetHigh: number;
  readonly offsetLow: number;
  /** Of the payload, or of the range that the request is about. */
  readonly length: number;
}

/** A 64-bit number; rounded beyond 2^53. */
export function readNumber(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

/** Writes a 64-bit number of at most 2^53. */
export function writeNumber(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

/** The request whose header begins at `at`; null if it has the wrong magic number. */
export function decodeRequest(bytes: Buffer, at: number, style: HeaderStyle): RequestHeader | null {
  const isExtended = style === 'extended';
  if (bytes.readUInt32BE(at) !== (isExtended ? Magic.EXTENDED_REQUEST : Magic.REQUEST)) return null;
  return {
    flags: bytes.readUInt16BE(at + 4),
    type: bytes.readUInt16BE(at + 6),
    cookieHigh: bytes.readUInt32BE(at + 8),
    cookieLow: bytes.readUInt32BE(at + 12),
    offset: readNumber(bytes, at + 16),
    offsetHigh: bytes.readUInt32BE(at + 16),
    offsetLow: bytes.readUInt32BE(at + 20),
    length: isExtended ? readNumber(bytes, at + 24) : bytes.readUInt32BE(at + 24),
  };
}

/** A request for an option of the handshake. */
export function encodeOption(option: number, data: Buffer): Buffer {
  const request = Buffer.alloc(OPTION_HEADER_BYTES + data.length);
  request.writeUInt32BE(OPTION_MAGIC.high, 0);
  request.writeUInt32BE(OPTION_MAGIC.low, 4);
  request.writeUInt32BE(option, 8);
  request.writeUInt32BE(data.length, 12);
  data.copy(request, OPTION_HEADER_BYTES);
  return request;
}

/** The part of a request's header that is not the cookie. */
export type RequestBody = Pick<RequestHeader, 'type' | 'flags' | 'offset' | 'length'>;

/** The header of a request in the style without extended headers. Offsets and lengths are at most 2^53 and 2^32. */
export function encodeRequest(request: RequestBody, cookieHigh: number, cookieLow: number): Buffer {
  const header = Buffer.allocUnsafe(requestBytes.structured);
  header.writeUInt32BE(Magic.REQUEST, 0);
  header.writeUInt16BE(request.flags, 4);
  header.writeUInt16BE(request.type, 6);
  header.writeUInt32BE(cookieHigh, 8);
  header.writeUInt32BE(cookieLow, 12);
  writeNumber(header, request.offset, 16);
  header.writeUInt32BE(request.length, 24);
  return header;
}

/** Writes the header of a simple reply; 16 bytes. */
export function writeSimpleReply(into: Buffer, at: number, request: RequestHeader, error: number): void {
  into.writeUInt32BE(Magic.SIMPLE_REPLY, at);
  into.writeUInt32BE(error, at + 4);
  into.writeUInt32BE(request.cookieHigh, at + 8);
  into.writeUInt32BE(request.cookieLow, at + 12);
}

/** The header of a chunk, without what it repeats from the request. */
export interface ChunkHeader {
  /** One of `Chunk`. */
  readonly type: number;
  readonly isLast: boolean;
  readonly payloadBytes: number;
}

/** Writes the header of a chunk of a structured or extended reply; `replyHeaderBytes(style)` bytes. */
export function writeChunkHeader(
  into: Buffer,
  at: number,
  style: HeaderStyle,
  request: RequestHeader,
  chunk: ChunkHeader,
): void {
  const isExtended = style === 'extended';
  into.writeUInt32BE(isExtended ? Magic.EXTENDED_REPLY : Magic.STRUCTURED_REPLY, at);
  into.writeUInt16BE(chunk.isLast ? CHUNK_DONE : 0, at + 4);
  into.writeUInt16BE(chunk.type, at + 6);
  into.writeUInt32BE(request.cookieHigh, at + 8);
  into.writeUInt32BE(request.cookieLow, at + 12);
  if (isExtended) {
    into.writeUInt32BE(request.offsetHigh, at + 16);
    into.writeUInt32BE(request.offsetLow, at + 20);
    writeNumber(into, chunk.payloadBytes, at + 24);
  } else {
    into.writeUInt32BE(chunk.payloadBytes, at + 16);
  }
}

/** A reply to an option. */
export function encodeOptionReply(option: number, type: number, payload: Buffer): Buffer {
  const reply = Buffer.alloc(20 + payload.length);
  reply.writeUInt32BE(OPTION_REPLY_MAGIC.high, 0);
  reply.writeUInt32BE(OPTION_REPLY_MAGIC.low, 4);
  reply.writeUInt32BE(option, 8);
  reply.writeUInt32BE(type, 12);
  reply.writeUInt32BE(payload.length, 16);
  payload.copy(reply, 20);
  return reply;
}

const { EPERM, EROFS, EIO, ENOMEM, EINVAL, ENOSPC, EDQUOT, EFBIG, EOVERFLOW, ENOTSUP, ESHUTDOWN, ECANCELED } = Errno;

/** The errors of NBD by errno; its own have the numbers of Linux. */
const wireErrors = new Map<number, number>([
  [EPERM, EPERM],
  [EROFS, EPERM],
  [EIO, EIO],
  // A request that a user cancelled: the I/O was not done.
  [ECANCELED, EIO],
  [ENOMEM, ENOMEM],
  [ENOSPC, ENOSPC],
  [EDQUOT, ENOSPC],
  [EFBIG, ENOSPC],
  [EOVERFLOW, EOVERFLOW],
  [ENOTSUP, ENOTSUP],
  [ESHUTDOWN, ESHUTDOWN],
]);

/** The error of NBD for an errno: those that it lacks are EINVAL (as with qemu-nbd 7.2), a cancelled request is EIO. */
export function wireError(errno: number): number {
  return wireErrors.get(errno) ?? EINVAL;
}
