/** The option of an encrypted image that names the secret with its passphrase. */
import { invalidArgument } from '../error.ts';
import { type Options, optionText } from './options.ts';

const KEY_SECRET = 'key-secret';

/**
 * The id of the secret in `options`, those of the encryption without their prefix; null if none is named. QEMU makes a
 * tree of them, and refuses what is none or has unknown branches: EINVAL with its texts.
 */
export function takeKeySecret(options: Options): string | null {
  const keys = options.orderedKeys();
  const roots = keys.map((key) => key.split('.')[0] ?? key);
  const isNested = (root: string): boolean => keys.some((key) => key.startsWith(`${root}.`));
  if (roots.some((root) => options.has(root) && isNested(root))) {
    throw invalidArgument('Cannot mix scalar and non-scalar keys');
  }
  if (isNested(KEY_SECRET)) throw invalidArgument(`Parameters '${KEY_SECRET}.*' are unexpected`);
  const value = options.get(KEY_SECRET);
  if (value === null) throw invalidArgument(`Internal error: parameter ${KEY_SECRET} invalid`);
  const unexpected = roots.find((root) => root !== KEY_SECRET && root !== 'format');
  if (unexpected !== undefined) throw invalidArgument(`Parameter '${unexpected}' is unexpected`);
  return value === undefined ? null : optionText(value);
}
