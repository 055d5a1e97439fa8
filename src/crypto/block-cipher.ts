/** A block cipher without a mode: many blocks of 16 bytes at once, each for itself. The modes are built on it. */
import type { Cipher } from 'node:crypto';
import { loadNow } from '../util/load-now.ts';
import { type CipherAlgorithm, CryptoError } from './algorithms.ts';

/** Bytes of a block: of AES, and so of every cipher that is here. */
export const BLOCK_BYTES = 16;
/** 32-bit words of a block. */
export const BLOCK_WORDS = 4;

/**
 * A cipher with its key, which it keeps: setting one up costs more than a sector. CryptoError for a cipher that OpenSSL
 * does not have, with the text of a QEMU that was built without it.
 */
export class BlockCipher {
  readonly #encryptor: Cipher;
  readonly #decryptor: Cipher;

  constructor({ family, name }: CipherAlgorithm, key: Uint8Array) {
    if (family !== 'aes' && family !== 'sm4') throw new CryptoError(`Unsupported cipher algorithm ${name}`);
    const { createCipheriv, createDecipheriv } = loadNow('node:crypto');
    this.#encryptor = createCipheriv(`${name}-ecb`, key, null).setAutoPadding(false);
    this.#decryptor = createDecipheriv(`${name}-ecb`, key, null).setAutoPadding(false);
  }

  /** Whole blocks, each encrypted; the result is new memory, which begins at a word. */
  encrypt(blocks: Uint8Array): Buffer {
    return this.#encryptor.update(blocks);
  }

  /** Whole blocks, each decrypted, as `encrypt`. */
  decrypt(blocks: Uint8Array): Buffer {
    return this.#decryptor.update(blocks);
  }
}

/** Memory seen as words of the host's order: what XORs it need not know which. The memory begins at a word. */
export function wordsOf(data: Buffer): Int32Array {
  return new Int32Array(data.buffer, data.byteOffset, data.length / Int32Array.BYTES_PER_ELEMENT);
}
