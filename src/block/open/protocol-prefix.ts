/** Prefixes of file names, which ask for the driver of a protocol. */
import type { Options } from '../options/options.ts';

/** Whether a name begins with "protocol:": it has a colon before the first slash. */
export function hasProtocol(filename: string): boolean {
  return /^[^:/]*:/.test(filename);
}

/**
 * For drivers' `parseFilename`: puts `filename` without `prefix` into `options`, if it begins with it. What then looks
 * like another protocol is protected by "../".
 */
export function stripProtocol(filename: string, prefix: string, options: Options): void {
  if (!filename.startsWith(prefix)) return;
  const stripped = filename.slice(prefix.length);
  options.set('filename', hasProtocol(stripped) ? `./${stripped}` : stripped);
}
