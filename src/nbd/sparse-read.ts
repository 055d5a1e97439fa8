/** Long reads of clients that know structured replies: what is known to read as zeroes is told and not sent. */
import type { Steps } from '../util/steps.ts';
import type { Extent, NbdExport } from './export.ts';
import type { NbdLimits } from './server-limits.ts';
import type { Agreement } from './negotiation.ts';
import type { Room } from './replies.ts';
import {
  Allocation,
  Chunk,
  CommandFlag,
  type HeaderStyle,
  replyHeaderBytes,
  type RequestHeader,
  writeChunkHeader,
  writeNumber,
} from './wire.ts';

/** The offset of a chunk of data; the offset of a hole and its length. */
const DATA_PREFIX_BYTES = 8;
const HOLE_BYTES = 12;
/** Shorter holes are sent as data: a chunk of their own would save nothing. */
const MIN_HOLE_BYTES = 4096;

/** A part of a read, which is a chunk of its reply. */
export interface ReadPart {
  readonly offset: number;
  bytes: number;
  readonly isHole: boolean;
}

/** Whether a read tells holes: qemu-nbd 7.2 looks for them in any structured read, here in those that are long. */
export function mayTellHoles({ flags, length }: RequestHeader, { style }: Agreement, limits: NbdLimits): boolean {
  return style !== 'simple' && length >= limits.minSparseBytes && (flags & CommandFlag.DF) === 0;
}

/** Room that the chunk of a part takes in a reply. */
export function chunkBytes(style: HeaderStyle, { bytes, isHole }: ReadPart): number {
  return replyHeaderBytes(style) + (isHole ? HOLE_BYTES : DATA_PREFIX_BYTES + bytes);
}

/** The parts of a range, in their order: at least one, of data and of holes in turn. */
export function* readParts(
  source: NbdExport,
  { offset, length }: RequestHeader,
  maxExtents: number,
): Steps<ReadPart[]> {
  const { backend } = source;
  // The image must not be closed meanwhile.
  backend.inFlight += 1;
  try {
    const extents = yield* source.extents(0, offset, length, maxExtents);
    return partsOf(extents, offset, offset + length);
  } finally {
    backend.inFlight -= 1;
  }
}

/** Writes the headers of chunks around the data that is there; the length of all. */
export function writeParts(
  { buffer, at: start }: Room,
  style: HeaderStyle,
  request: RequestHeader,
  parts: readonly ReadPart[],
): number {
  const headerBytes = replyHeaderBytes(style);
  let at = start;
  for (const [index, part] of parts.entries()) {
    const total = chunkBytes(style, part);
    const type = part.isHole ? Chunk.OFFSET_HOLE : Chunk.OFFSET_DATA;
    const isLast = index === parts.length - 1;
    writeChunkHeader(buffer, at, style, request, { type, isLast, payloadBytes: total - headerBytes });
    writeNumber(buffer, part.offset, at + headerBytes);
    if (part.isHole) buffer.writeUInt32BE(part.bytes, at + total - 4);
    at += total;
  }
  return at - start;
}

/** Extents as parts; a rest that none tells of is data. */
function partsOf(extents: readonly Extent[], start: number, end: number): ReadPart[] {
  const parts: ReadPart[] = [];
  const add = (offset: number, bytes: number, isHole: boolean): void => {
    const last = parts.at(-1);
    if (last?.isHole === isHole) last.bytes += bytes;
    else if (bytes > 0) parts.push({ offset, bytes, isHole });
  };
  let at = start;
  for (const { bytes, flags } of extents) {
    add(at, bytes, (flags & Allocation.ZERO) !== 0 && bytes >= MIN_HOLE_BYTES);
    at += bytes;
  }
  add(at, end - at, false);
  return parts;
}
