/** The encryption of qcow and old qcow2 images: the passphrase is the key. */
import { cipherOf } from './algorithms.ts';
import { SectorCipher } from './sector-cipher.ts';

const KEY_BYTES = 16;

/** AES-128 in CBC mode, with the first 16 bytes of the passphrase, or zeroes behind it, as the key. */
export function aesOfPassphrase(passphrase: Buffer): SectorCipher {
  const key = Buffer.alloc(KEY_BYTES);
  passphrase.copy(key);
  const iv = { name: 'plain64', essiv: null } as const;
  return new SectorCipher({ cipher: cipherOf('aes', KEY_BYTES), mode: 'cbc', iv }, key);
}
