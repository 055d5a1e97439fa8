/** Initialisation vectors of sectors: made of the sector's number. */
import { type CipherAlgorithm, digest, type HashName, type IvName } from './algorithms.ts';
import { BLOCK_BYTES, BlockCipher } from './block-cipher.ts';

/** Makes the vectors of consecutive sectors, one block each, one behind the other. */
export type IvGenerator = (firstSector: number, count: number) => Buffer;

/** A generator of IVs, and for ESSIV what its key is made of. */
export interface IvSettings {
  readonly name: IvName;
  /** The cipher and the hash of ESSIV, which encrypts numbers with the hash of the key. */
  readonly essiv: { readonly cipher: CipherAlgorithm; readonly hash: HashName } | null;
}

/** The generator of these settings. `key` is the data's whole key. CryptoError for a cipher that OpenSSL lacks. */
export function ivGenerator({ name, essiv }: IvSettings, key: Uint8Array): IvGenerator {
  if (essiv === null) return name === 'plain' ? plain : plain64;
  const salt = digest(essiv.hash, key).subarray(0, essiv.cipher.keyBytes);
  const cipher = new BlockCipher(essiv.cipher, salt);
  return (firstSector, count) => cipher.encrypt(plain64(firstSector, count));
}

/** The low 32 bits of the number, little-endian. */
function plain(firstSector: number, count: number): Buffer {
  const vectors = Buffer.alloc(count * BLOCK_BYTES);
  for (let index = 0; index < count; index++) vectors.writeUInt32LE((firstSector + index) >>> 0, index * BLOCK_BYTES);
  return vectors;
}

/** All 64 bits of the number, little-endian. */
function plain64(firstSector: number, count: number): Buffer {
  const vectors = plain(firstSector, count);
  for (let index = 0; index < count; index++) {
    const high = Math.floor((firstSector + index) / 2 ** 32);
    if (high !== 0) vectors.writeUInt32LE(high, index * BLOCK_BYTES + 4);
  }
  return vectors;
}
