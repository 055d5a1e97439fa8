/** Short forms for views: sizes, ranges, ages, errno names. */
import { errnoName } from '../util/errno.ts';

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

/** "write 64k@128k"; the operation alone if it has no range. */
export function requestText(operation: string, offset: number | null, bytes: number | null): string {
  // A flush is of everything.
  if (offset === null || operation === 'flush') return operation;
  const place = `@${compactBytes(offset)}`;
  return bytes === null || bytes === 0 ? `${operation} ${place}` : `${operation} ${compactBytes(bytes)}${place}`;
}

/** The letter that stands for an operation before a request's number: "w4". `aio_` and what follows do not count. */
export function operationLetter(operation: string): string {
  return operation.replace(/^aio_/, '').charAt(0) || '#';
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

/** "ENOSPC", or the number if it has no name. */
export function errnoText(errno: number): string {
  return errnoName(errno) ?? String(errno);
}
