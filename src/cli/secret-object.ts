/** The object `secret`: a passphrase or a key, plain, in base64, or encrypted with another secret. */
import { readFileSync } from 'node:fs';
import type { Compat } from '../block/compat.ts';
import { BlockError, invalidArgument } from '../block/error.ts';
import { secretBytes, type Secret, type UserObject } from '../block/user-object.ts';
import { CryptoError } from '../crypto/algorithms.ts';
import { decodeBase64, decryptSecret } from '../crypto/secret.ts';
import { Errno, hostErrno, strerror } from '../util/errno.ts';

const MAX_SECRET_BYTES = 16 << 20;

/** The properties, with what `help` says of their values. */
export const secretProperties: Readonly<Record<string, string>> = {
  data: 'string',
  file: 'string',
  format: 'QCryptoSecretFormat',
  iv: 'string',
  keyid: 'string',
};

/**
 * Takes the properties of a secret; the function returned makes it of them. `objects` has the secret that decrypts this
 * one. EINVAL with QEMU's texts.
 */
export function readSecret(
  id: string,
  take: (property: string) => string | undefined,
  objects: ReadonlyMap<string, UserObject>,
  compat: Compat,
): () => Secret {
  // In the order in which QEMU looks at them, so that the first wrong one is refused.
  const loaded = compat.has('neverLoaded') ? undefined : take('loaded');
  if (loaded !== undefined && loaded !== 'on' && loaded !== 'off') {
    throw invalidArgument("Parameter 'loaded' expects 'on' or 'off'");
  }
  const format = take('format') ?? 'raw';
  if (format !== 'raw' && format !== 'base64') {
    throw invalidArgument(`Parameter 'format' does not accept value '${format}'`);
  }
  const [keyId, iv, data, file] = ['keyid', 'iv', 'data', 'file'].map(take);
  return () => {
    if (loaded !== undefined) throw invalidArgument("Property 'secret.loaded' is not writable");
    const given = givenBytes(data, file);
    if (keyId === id) throw invalidArgument(`Secret with id '${id}' has no data`);
    const key = keyId === undefined ? null : secretBytes(objects, keyId);
    try {
      return { kind: 'secret', content: plainBytes(given, format, key, iv) };
    } catch (error) {
      if (error instanceof CryptoError) throw invalidArgument(error.message);
      throw error;
    }
  };
}

/** The key and the vector are looked at before what they decrypt. */
function plainBytes(given: Buffer, format: 'raw' | 'base64', key: Buffer | null, iv: string | undefined): Buffer {
  const decode = (): Buffer => (format === 'base64' ? decodeBase64(given) : given);
  return key === null ? decode() : decryptSecret(key, iv, decode);
}

function givenBytes(data: string | undefined, file: string | undefined): Buffer {
  if (data !== undefined && file !== undefined) throw invalidArgument("'file' and 'data' are mutually exclusive");
  if (data !== undefined) return Buffer.from(data);
  if (file === undefined) throw invalidArgument("Either 'file' or 'data' must be provided");
  try {
    const content = readFileSync(file);
    if (content.length > MAX_SECRET_BYTES)
      throw invalidArgument(`Unable to read ${file}: it is too large for a secret`);
    return content;
  } catch (error) {
    if (error instanceof BlockError) throw error;
    const errno = hostErrno(error);
    const step = errno === Errno.EISDIR ? 'Error reading file' : 'Failed to open file';
    throw invalidArgument(`Unable to read ${file}: ${step} “${file}”: ${strerror(errno)}`);
  }
}
