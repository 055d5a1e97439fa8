/**
 * The model of a disk: what each sector may hold after requests that were acknowledged, that failed, or that are in
 * flight. The reference that the block layer is held to.
 *
 * A byte holds the content of one of the writes to it, and not of one that had ended when another began that then
 * succeeded. This leaves the order open of those that were in flight together, and both outcomes of one that failed.
 * Sectors are not torn: all bytes of one that the same writes reach come from one of them.
 *
 * On stable storage is what had ended when a flush began that then succeeded. What was acknowledged only may be gone
 * after a loss of power, and what it had overwritten is there again.
 */
import { type Content, describeContent, hex, isContent } from './content.ts';

export const SECTOR_BYTES = 512;

const NEVER = Number.POSITIVE_INFINITY;

/** A content that a range may hold, with the life of the write that brought it, in steps of the model's clock. */
interface Candidate {
  readonly content: Content;
  readonly beganAt: number;
  /** NEVER while it is in flight. */
  endedAt: number;
  isAcknowledged: boolean;
}

/** A range in which all bytes have the same candidates. */
interface Segment {
  readonly start: number;
  /** The first byte behind it. */
  end: number;
  candidates: Candidate[];
  /** Those whose place an acknowledged write has taken, which a loss of power may undo. */
  overwritten: Candidate[];
  /** Contents that it held once and must not hold again. */
  past: Content[];
}

/** A write in flight, for `endWrite`. */
export interface ModelWrite {
  readonly start: number;
  readonly end: number;
  readonly isStable: boolean;
  readonly candidate: Candidate;
}

/** A read in flight, for `endRead`: what each part of its range was allowed to hold at some time since it began. */
export interface ModelRead {
  readonly parts: { readonly start: number; readonly end: number; readonly allowed: Set<Content> }[];
}

/** A sector that holds what it must not. */
export interface Violation {
  /** The first such byte. */
  readonly offset: number;
  /** A sentence: where, what it holds, what it may hold. */
  readonly text: string;
  /** It holds what it held once: a write is gone, rather than wrong data there. */
  readonly isPast: boolean;
}

/** The model of one disk. Offsets and lengths are in bytes. */
export class DiskModel {
  /** In order, without gaps, from 0 to the end of all that the model knows. */
  readonly #segments: Segment[];
  readonly #reads = new Set<ModelRead>();
  #now = 0;

  /** A disk that may become `maxBytes` long, and holds `initial`. */
  constructor(maxBytes: number, initial: Content) {
    const first = { content: initial, beganAt: -1, endedAt: 0, isAcknowledged: true };
    this.#segments = [{ start: 0, end: maxBytes, candidates: [first], overwritten: [], past: [] }];
  }

  /** The contents that a byte may have now. */
  allowedAt(offset: number): Content[] {
    const [segment] = this.#within(offset, offset + 1);
    return segment === undefined ? [] : live(segment);
  }

  /** `isStable`: once acknowledged it is on stable storage. */
  beginWrite(offset: number, bytes: number, content: Content, isStable = false): ModelWrite {
    this.#now += 1;
    const candidate = { content, beganAt: this.#now, endedAt: NEVER, isAcknowledged: false };
    const write = { start: offset, end: offset + bytes, isStable, candidate };
    for (const segment of this.#split(write.start, write.end)) segment.candidates.push(candidate);
    for (const { parts } of this.#reads) {
      for (const { start, end, allowed } of parts) if (start < write.end && write.start < end) allowed.add(content);
    }
    return write;
  }

  /**
   * `isCertain`: its content is there now, or that of a write not over when it began. Not for failures and discards.
   */
  endWrite({ start, end, isStable, candidate }: ModelWrite, isCertain: boolean): void {
    this.#now += 1;
    candidate.endedAt = this.#now;
    if (!isCertain) return;
    candidate.isAcknowledged = true;
    const isOver = (other: Candidate): boolean => other.endedAt <= candidate.beganAt;
    for (const segment of this.#split(start, end)) {
      segment.overwritten.push(...segment.candidates.filter(isOver));
      segment.candidates = segment.candidates.filter((other) => !isOver(other));
      if (isStable) forget(segment, candidate.beganAt);
    }
  }

  /** For `endFlush`. */
  beginFlush(): number {
    this.#now += 1;
    return this.#now;
  }

  /** A flush that began at `beganAt` was acknowledged. */
  endFlush(beganAt: number): void {
    this.#now += 1;
    for (const segment of this.#segments) {
      if (segment.overwritten.length === 0) continue;
      const stable = [...segment.candidates, ...segment.overwritten].filter(
        ({ isAcknowledged, endedAt }) => isAcknowledged && endedAt <= beganAt,
      );
      for (const candidate of stable) forget(segment, candidate.beganAt);
    }
  }

  beginRead(offset: number, bytes: number): ModelRead {
    const parts = this.#within(offset, offset + bytes).map((segment) => ({
      start: Math.max(segment.start, offset),
      end: Math.min(segment.end, offset + bytes),
      allowed: new Set(live(segment)),
    }));
    const read = { parts };
    this.#reads.add(read);
    return read;
  }

  /** Ends a read. The first violation in `data`; null if there is none, or if the read has failed (`data` is null). */
  endRead(read: ModelRead, data: Buffer | null): Violation | null {
    this.#reads.delete(read);
    const first = read.parts[0]?.start ?? 0;
    for (const { start, end, allowed } of data === null ? [] : read.parts) {
      const part = (data as Buffer).subarray(start - first, end - first);
      const violation = this.#violationIn(start, part, part.length, [...allowed]);
      if (violation !== null) return violation;
    }
    return null;
  }

  /**
   * Compares `bytes` bytes from `offset` of the disk after it was closed and opened again; `data` is null where they
   * are zeroes. `isFlushed`: what was acknowledged must all be there; otherwise what was on stable storage.
   */
  compare(offset: number, data: Buffer | null, bytes: number, isFlushed: boolean): Violation | null {
    for (const segment of this.#within(offset, offset + bytes)) {
      const start = Math.max(segment.start, offset);
      const end = Math.min(segment.end, offset + bytes);
      const part = data === null ? null : data.subarray(start - offset, end - offset);
      const allowed = isFlushed
        ? live(segment)
        : [...segment.candidates, ...segment.overwritten].map(({ content }) => content);
      const violation = this.#violationIn(start, part, end - start, allowed);
      if (violation !== null) return violation;
    }
    return null;
  }

  /** Halves a range until each part is one of the contents, or is a sector that is none of them. */
  #violationIn(start: number, data: Buffer | null, bytes: number, allowed: readonly Content[]): Violation | null {
    if (allowed.some((content) => isContent(content, data, start, bytes))) return null;
    const middle = start + Math.ceil(bytes / 2);
    const cut = Math.min(middle + SECTOR_BYTES - 1, start + bytes - 1);
    const at = cut - (cut % SECTOR_BYTES);
    if (at <= start) return this.#violation(start, data, bytes, allowed);
    const first = data === null ? null : data.subarray(0, at - start);
    const second = data === null ? null : data.subarray(at - start);
    return (
      this.#violationIn(start, first, at - start, allowed) ?? this.#violationIn(at, second, start + bytes - at, allowed)
    );
  }

  #violation(offset: number, data: Buffer | null, bytes: number, allowed: readonly Content[]): Violation {
    const [segment] = this.#within(offset, offset + 1);
    const old = [...(segment?.past ?? []), ...(segment?.overwritten.map(({ content }) => content) ?? [])];
    const value = data?.[0] ?? 0;
    const found = data === null || data.every((byte) => byte === value) ? hex(value) : 'several values';
    const may = [...new Set(allowed.map(describeContent))].join(', ');
    return {
      offset,
      text: `the sector at ${offset - (offset % SECTOR_BYTES)} holds ${found}; allowed: ${may}`,
      isPast: old.some((content) => isContent(content, data, offset, bytes)),
    };
  }

  /** Segments that a range touches. */
  #within(start: number, end: number): Segment[] {
    if (end <= start) return [];
    const touched: Segment[] = [];
    for (let index = this.#indexOf(start); index < this.#segments.length; index++) {
      const segment = this.#segments[index] as Segment;
      if (segment.start >= end) break;
      touched.push(segment);
    }
    return touched;
  }

  /** Segments that together are a range, made by cutting those that reach beyond it. */
  #split(start: number, end: number): Segment[] {
    if (end <= start) return [];
    this.#cut(start);
    this.#cut(end);
    return this.#within(start, end);
  }

  #cut(at: number): void {
    const index = this.#indexOf(at);
    const segment = this.#segments[index];
    if (segment === undefined || segment.start === at || segment.end <= at) return;
    const { end, candidates, overwritten, past } = segment;
    segment.end = at;
    this.#segments.splice(index + 1, 0, {
      start: at,
      end,
      candidates: [...candidates],
      overwritten: [...overwritten],
      past: [...past],
    });
  }

  /** The segment that holds a byte; the number of segments for one behind the last. */
  #indexOf(at: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#segments[middle] as Segment).end <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function live({ candidates }: Segment): Content[] {
  return candidates.map(({ content }) => content);
}

/** A write that began then is on stable storage: what had ended before it cannot come back. */
function forget(segment: Segment, beganAt: number): void {
  const { overwritten } = segment;
  segment.overwritten = overwritten.filter(({ endedAt }) => endedAt > beganAt);
  for (const { content, endedAt } of overwritten) if (endedAt <= beganAt) segment.past.push(content);
}
