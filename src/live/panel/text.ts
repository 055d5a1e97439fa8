/** Short forms for views: requests, errno names. */
import { compactBytes } from '../../util/compact.ts';
import { errnoName } from '../../util/errno.ts';

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

/** "ENOSPC", or the number if it has no name. */
export function errnoText(errno: number): string {
  return errnoName(errno) ?? String(errno);
}
