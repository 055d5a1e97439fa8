/** Secrets as users give them: base64 as GLib reads it, and texts that were encrypted with another secret. */
import { loadNow } from '../util/load-now.ts';
import { CryptoError } from './algorithms.ts';

const KEY_BYTES = 32;
const BLOCK_BYTES = 16;
const PAD = 0x3d;

/** Base64 as bytes. CryptoError with QEMU's text for a character that does not belong there. */
export function decodeBase64(text: Buffer): Buffer {
  if (text.includes(0)) throw new CryptoError('Base64 data contains embedded NUL characters');
  if (!/^[A-Za-z0-9+/=\n]*$/.test(text.toString('latin1'))) {
    throw new CryptoError('Base64 data contains invalid characters');
  }
  const characters = text.filter((byte) => byte !== 0x0a);
  const decoded: Buffer[] = [];
  // Only whole groups count. Padding within one is zero bits, and at its end takes a byte away: so it is in GLib, where
  // Node stops at the first padding.
  for (let at = 0; at + 4 <= characters.length; at += 4) {
    const group = characters.subarray(at, at + 4);
    const bytes = Buffer.from(Buffer.from(group).toString('latin1').replaceAll('=', 'A'), 'base64');
    const second = group[2] === PAD ? [] : [bytes[1] ?? 0];
    const third = group[3] === PAD ? [] : [bytes[2] ?? 0];
    decoded.push(Buffer.from([bytes[0] ?? 0, ...second, ...third]));
  }
  return Buffer.concat(decoded);
}

/**
 * A secret that was encrypted with AES-256 in CBC mode and padded as PKCS #7 has it. `iv` is base64. CryptoError with
 * QEMU's texts for a key, a vector or data of a wrong length, in this order, and for padding that shows a wrong key.
 */
export function decryptSecret(key: Buffer, iv: string | undefined, readEncrypted: () => Buffer): Buffer {
  if (key.length !== KEY_BYTES) throw new CryptoError(`Key should be ${KEY_BYTES} bytes in length`);
  if (iv === undefined) throw new CryptoError('IV is required to decrypt secret');
  const vector = decodeBase64(Buffer.from(iv));
  if (vector.length !== BLOCK_BYTES) {
    throw new CryptoError(`IV should be ${BLOCK_BYTES} bytes in length not ${vector.length}`);
  }
  const encrypted = readEncrypted();
  if (encrypted.length % BLOCK_BYTES !== 0) {
    throw new CryptoError(`Length ${encrypted.length} must be a multiple of block size ${BLOCK_BYTES}`);
  }
  const cipher = loadNow('node:crypto').createDecipheriv('aes-256-cbc', key, vector).setAutoPadding(false);
  const padded = cipher.update(encrypted);
  const padding = padded.at(-1) ?? 0;
  if (padding > BLOCK_BYTES) {
    throw new CryptoError(`Incorrect number of padding bytes (${padding}) found on decrypted data`);
  }
  return padded.subarray(0, padded.length - padding);
}
