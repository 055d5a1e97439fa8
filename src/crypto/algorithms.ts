/** The algorithms that a LUKS header or a secret may name, and the error for what is wrong with those. */
import { loadNow } from '../util/load-now.ts';

/**
 * A header, a key or a secret that is wrong. The message is for the user and never holds key material. Floors above
 * turn it into an error of theirs.
 */
export class CryptoError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CryptoError';
  }
}

/** The algorithms that a header may name beyond those of QEMU 7.2. */
export interface LaterAlgorithms {
  /** The cipher SM4, of QEMU 9.0. */
  readonly sm4: boolean;
  /** The hash SM3, of QEMU 9.2. */
  readonly sm3: boolean;
}

/** Those of QEMU 7.2 alone. */
export const noLaterAlgorithms: LaterAlgorithms = { sm4: false, sm3: false };

/** The hashes that QEMU knows (`QCryptoHashAlgo`), with the bytes of their digests; all are Node's, too. */
const digestBytes = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
  ripemd160: 20,
  sm3: 32,
} as const;

/** The name of a hash, as headers and options have it. */
export type HashName = keyof typeof digestBytes;

/** The hash of a name. CryptoError with QEMU's text if there is none. */
export function hashByName(name: string, later = noLaterAlgorithms): HashName {
  if (Object.hasOwn(digestBytes, name) && (name !== 'sm3' || later.sm3)) return name as HashName;
  throw new CryptoError(`Hash algorithm '${name}' not supported`);
}

/** Bytes of a digest. */
export function digestLength(hash: HashName): number {
  return digestBytes[hash];
}

/** The digest of parts, one after the other. */
export function digest(hash: HashName, ...parts: readonly Uint8Array[]): Buffer {
  const sum = loadNow('node:crypto').createHash(hash);
  for (const part of parts) sum.update(part);
  return sum.digest();
}

/** The ways to use a block cipher on a sector (`QCryptoCipherMode`). */
export type CipherMode = 'ecb' | 'cbc' | 'xts' | 'ctr';

const cipherModes: ReadonlySet<string> = new Set<CipherMode>(['ecb', 'cbc', 'xts', 'ctr']);

/** The mode of a name. CryptoError with QEMU's text if there is none. */
export function modeByName(name: string): CipherMode {
  if (cipherModes.has(name)) return name as CipherMode;
  throw new CryptoError(`Cipher mode '${name}' not supported`);
}

/** A block cipher with its length of key, as `info` names it: "aes-256". */
export interface CipherAlgorithm {
  /** Of the whole family: "aes". */
  readonly family: CipherFamily;
  readonly name: string;
  readonly keyBytes: number;
}

type CipherFamily = 'aes' | 'cast5' | 'serpent' | 'sm4' | 'twofish';

/** The lengths of keys, in bytes, of the ciphers that QEMU looks for in a LUKS header. */
const keyLengths: Readonly<Record<CipherFamily, readonly number[]>> = {
  aes: [16, 24, 32],
  cast5: [16],
  serpent: [16, 24, 32],
  sm4: [16],
  twofish: [16, 24, 32],
};

/**
 * The cipher of a header's name and length of key in bytes: XTS has two keys in it. CryptoError with QEMU's text if
 * there is none.
 */
export function cipherByName(
  name: string,
  mode: CipherMode,
  keyBytes: number,
  later = noLaterAlgorithms,
): CipherAlgorithm {
  const ownBytes = mode === 'xts' ? Math.floor(keyBytes / 2) : keyBytes;
  const isKnown = Object.hasOwn(keyLengths, name) && (name !== 'sm4' || later.sm4);
  const known = isKnown ? keyLengths[name as CipherFamily] : [];
  // As a signed number, as QEMU prints it.
  if (!known.includes(ownBytes)) {
    throw new CryptoError(`Algorithm '${name}' with key size ${ownBytes | 0} bytes not supported`);
  }
  return cipherOf(name as CipherFamily, ownBytes);
}

/** The cipher of a family with keys of this length, which it has. */
export function cipherOf(family: CipherFamily, keyBytes: number): CipherAlgorithm {
  // SM4 has keys of one length, and no number in its name.
  return { family, name: family === 'sm4' ? family : `${family}-${keyBytes * 8}`, keyBytes };
}

/**
 * The cipher that makes the initialisation vectors of ESSIV: the one whose keys are as long as the hash, whatever the
 * data's own has (a quirk of dm-crypt that QEMU shares). CryptoError with QEMU's text if there is none.
 */
export function essivCipher(cipher: CipherAlgorithm, hash: HashName): CipherAlgorithm {
  const { family } = cipher;
  const bytes = digestLength(hash);
  if (bytes === cipher.keyBytes) return cipher;
  if (family === 'cast5' || family === 'sm4') throw new CryptoError(`Cipher ${cipher.name} not supported with essiv`);
  if (keyLengths[family].includes(bytes)) return cipherOf(family, bytes);
  const title = { aes: 'AES', serpent: 'Serpent', twofish: 'Twofish' }[family];
  throw new CryptoError(`No ${title} cipher with key size ${bytes} available`);
}

/** How the initialisation vector of a sector is made of its number (`QCryptoIVGenAlgorithm`). */
export type IvName = 'plain' | 'plain64' | 'essiv';

const ivNames: ReadonlySet<string> = new Set<IvName>(['plain', 'plain64', 'essiv']);

/** The generator of a name. CryptoError with QEMU's text if there is none. */
export function ivByName(name: string): IvName {
  if (ivNames.has(name)) return name as IvName;
  throw new CryptoError(`IV generator '${name}' not supported`);
}
