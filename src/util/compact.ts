/** Sizes, ages, requests and errors in few characters, for panels, tables, pages and filters. */
import { errnoName } from './errno.ts';

const units = [
  [2 ** 40, 'T'],
  [2 ** 30, 'G'],
  [2 ** 20, 'M'],
  [2 ** 10, 'k'],
] as const;

/** Bytes as a user types them: "64k", "1536", "3G". Exact always. */
export function compactBytes(bytes: number): string {
  for (const [unit, suffix] of units) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${suffix}`;
  }
  return String(bytes);
}

/** Nanoseconds as "0.4s", "12s", "3m07", "2h11". */
export function ageText(ns: number): string {
  const seconds = Math.max(0, ns) / 1e9;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}`;
}

/** A request's short name: the letter of its operation and its number, "w12". `aio_` does not count. */
export function requestName(operation: string, request: number): string {
  return `${operation.replace(/^aio_/, '').charAt(0) || 'q'}${request}`;
}

/** "w12", or "w12 of w7" for a part of another request; `parent` is 0 for none. */
export function partName(operation: string, request: number, parent = 0): string {
  const name = requestName(operation, request);
  return parent === 0 ? name : `${name} of ${requestName(operation, parent)}`;
}

/**
 * The place of an injected error: the user's request that it came to, and where. Left out: what it does not have.
 * Offsets and lengths in bytes.
 */
export interface ErrorPlace {
  /** The request of the user, and its operation: the one that failed, or the one that this is a part of. */
  readonly root?: number;
  readonly operation?: string;
  readonly guestOffset?: number;
  readonly guestBytes?: number;
  /** Of what failed, in the image file. */
  readonly fileOffset?: number;
  readonly fileBytes?: number;
}

/** "EIO by rule 4 in w7, write 64k at guest offset 128k, file offset 320k" */
export function injectedText(errno: number, rule: number, place: ErrorPlace): string {
  const { root = 0, operation = '', guestOffset, guestBytes, fileOffset } = place;
  const parts = [`${errnoText(errno)} by rule ${rule}`];
  if (root !== 0) parts[0] += ` in ${requestName(operation, root)}`;
  if (guestOffset !== undefined) {
    parts.push(`${operation} ${compactBytes(guestBytes ?? 0)} at guest offset ${compactBytes(guestOffset)}`);
  }
  if (fileOffset !== undefined) parts.push(`file offset ${compactBytes(fileOffset)}`);
  return parts.join(', ');
}

/** "write 64k@128k"; the operation alone if it has no range. Offset and length in bytes. */
export function requestText(operation: string, offset: number | null, bytes: number | null): string {
  // A flush is of everything.
  if (offset === null || operation === 'flush') return operation;
  const place = `@${compactBytes(offset)}`;
  return bytes === null || bytes === 0 ? `${operation} ${place}` : `${operation} ${compactBytes(bytes)}${place}`;
}

/** "ENOSPC", or the number if it has no name. */
export function errnoText(errno: number): string {
  return errnoName(errno) ?? String(errno);
}

/** A count in few characters: "830", "12.3k", "4.1M". */
export function compactCount(count: number): string {
  if (count < 9999.5) return String(Math.round(count));
  return count < 999_950 ? `${(count / 1e3).toFixed(1)}k` : `${(count / 1e6).toFixed(1)}M`;
}
