/** Making a LUKS1 volume: a new key, encrypted with a passphrase in its first key slot, and the header to it. */
import { loadNow } from '../util/load-now.ts';
import type { Steps } from '../util/steps.ts';
import { CryptoError } from './algorithms.ts';
import { splitIntoStripes } from './anti-forensic.ts';
import { deriveKey, iterationsPerSecond, type WaitForWork } from './key-derivation.ts';
import { DIGEST_BYTES, LUKS_SALT_BYTES, luksAlgorithms, luksLayout, newLuksHeader, STRIPES } from './luks-header.ts';
import { MAX_ITERATIONS } from './luks.ts';
import { SECTOR_BYTES, SectorCipher } from './sector-cipher.ts';

/** The choices of a new volume, in the words of its header. */
export interface LuksChoices {
  /** "aes" */
  readonly cipherName: string;
  /** "xts-plain64", "cbc-essiv:sha256" */
  readonly cipherMode: string;
  readonly hashSpec: string;
  /** Of the master key: with XTS two keys. */
  readonly keyBytes: number;
  /** How long the derivation of a key from the passphrase takes on this machine, in milliseconds. */
  readonly iterTimeMs: number;
}

/** A new volume's beginning: everything up to its data, which are zeroes but for these. */
export interface NewLuks {
  readonly header: Buffer;
  readonly material: Buffer;
  /** Of the material, in bytes from the header's start. */
  readonly materialOffset: number;
  /** Of the data. */
  readonly payloadOffset: number;
}

/** As QEMU 7.2: fewer are made for no passphrase, and the digest of the master key takes an eighth of the time. */
const MIN_ITERATIONS = 1000;
const DIGEST_SHARE = 8;

/** Bytes from the start of a volume to its data. CryptoError with QEMU's text for algorithms that are not known. */
export function luksPayloadOffset(choices: LuksChoices): number {
  luksAlgorithms(choices);
  return luksLayout(choices.keyBytes).payloadSector * SECTOR_BYTES;
}

/** Makes the beginning. CryptoError with QEMU's text for what cannot be used. */
export function* createLuks(choices: LuksChoices, passphrase: Buffer, wait: WaitForWork): Steps<NewLuks> {
  const { randomBytes, randomUUID } = loadNow('node:crypto');
  const { keyBytes, iterTimeMs } = choices;
  const algorithms = luksAlgorithms(choices);
  const { hash } = algorithms;
  const { payloadSector, materialSectors } = luksLayout(keyBytes);
  const key = randomBytes(keyBytes);
  const digestSalt = randomBytes(LUKS_SALT_BYTES);
  const slotSalt = randomBytes(LUKS_SALT_BYTES);
  const forKey = { secret: key, salt: digestSalt, bytes: DIGEST_BYTES, hash };
  const digestIterations = iterationsIn(iterTimeMs / DIGEST_SHARE, yield* iterationsPerSecond(wait, forKey));
  const digest = yield* deriveKey(wait, { ...forKey, iterations: digestIterations });
  const forSlot = { secret: passphrase, salt: slotSalt, bytes: keyBytes, hash };
  const slotIterations = iterationsIn(iterTimeMs, yield* iterationsPerSecond(wait, forSlot));
  const slotKey = yield* deriveKey(wait, { ...forSlot, iterations: slotIterations });
  const material = splitIntoStripes(hash, key, STRIPES, randomBytes);
  new SectorCipher(algorithms, slotKey).encrypt(0, material, material);
  key.fill(0);
  slotKey.fill(0);
  const header = newLuksHeader({
    ...choices,
    digest,
    digestSalt,
    digestIterations,
    uuid: randomUUID(),
    slot: { iterations: slotIterations, salt: slotSalt },
  });
  return {
    header,
    material,
    materialOffset: (materialSectors[0] ?? 0) * SECTOR_BYTES,
    payloadOffset: payloadSector * SECTOR_BYTES,
  };
}

function iterationsIn(timeMs: number, perSecond: number): number {
  const iterations = Math.max(MIN_ITERATIONS, Math.floor((perSecond * timeMs) / 1000));
  // No more than an open is ready to make, for a key of up to four blocks of its hash.
  if (iterations > MAX_ITERATIONS / 8) {
    throw new CryptoError(`PBKDF iterations ${BigInt(iterations)} larger than ${MAX_ITERATIONS / 8}`);
  }
  return iterations;
}
