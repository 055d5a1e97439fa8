/** Opening a LUKS1 volume: the master key out of the first key slot that a passphrase fits. */
import type { Pending, Steps } from '../util/steps.ts';
import { CryptoError, digestLength, type LaterAlgorithms } from './algorithms.ts';
import { mergeStripes } from './anti-forensic.ts';
import { deriveKey, type WaitForWork } from './key-derivation.ts';
import {
  checkLuksHeader,
  type KeySlot,
  LUKS_HEADER_BYTES,
  luksAlgorithms,
  type LuksAlgorithms,
  type LuksHeader,
  parseLuksHeader,
} from './luks-header.ts';
import { SECTOR_BYTES, SectorCipher } from './sector-cipher.ts';

/**
 * Iterations of the derivation of keys in one open, for all slots and each block of a key. A header can ask for 2^32 in
 * each slot, which would take hours. An image that was made to take 2 seconds asks for 2^24 or so.
 */
export const MAX_ITERATIONS = 2 ** 28;

/** The surroundings of a volume, as opening it needs them. */
export interface LuksSource {
  /** Fills `data` from an offset in bytes of the place where the header is. */
  read(offset: number, data: Buffer): Pending;
  readonly wait: WaitForWork;
  /** The header is not in front of the data. */
  readonly isDetached?: boolean;
  /** Left out: those of QEMU 7.2 alone. */
  readonly later?: LaterAlgorithms;
}

/** A volume that has been opened. */
export interface LuksVolume {
  readonly header: LuksHeader;
  readonly algorithms: LuksAlgorithms;
  readonly sectors: SectorCipher;
  /** Bytes from the start of the data's file to the data. */
  readonly payloadOffset: number;
}

/**
 * Reads the header and finds the key. `passphrase` ends at its first NUL. CryptoError with QEMU's text for a damaged
 * header, an unknown algorithm or a passphrase that fits no slot, and with one of ours for a header that asks for more
 * work than is ever needed.
 */
export function* openLuks(source: LuksSource, passphrase: Buffer): Steps<LuksVolume> {
  const data = Buffer.alloc(LUKS_HEADER_BYTES);
  yield source.read(0, data);
  const header = parseLuksHeader(data);
  checkLuksHeader(header, source.isDetached);
  const algorithms = luksAlgorithms(header, source.later);
  const key = yield* findKey(new Unlocking(source, header, algorithms), passphrase);
  const sectors = new SectorCipher(algorithms, key);
  key.fill(0);
  return { header, algorithms, sectors, payloadOffset: header.payloadSector * SECTOR_BYTES };
}

function* findKey(unlocking: Unlocking, passphrase: Buffer): Steps<Buffer> {
  for (const [index, slot] of unlocking.header.slots.entries()) {
    if (!slot.isActive) continue;
    const key = yield* unlocking.keyOf(index, slot, passphrase);
    if (key !== null) return key;
  }
  throw new CryptoError('Invalid password, cannot unlock any keyslot');
}

/** The attempts to unlock one volume, which share the bound of their work. */
class Unlocking {
  readonly header: LuksHeader;
  readonly #source: LuksSource;
  readonly #algorithms: LuksAlgorithms;
  #iterationsLeft = MAX_ITERATIONS;

  constructor(source: LuksSource, header: LuksHeader, algorithms: LuksAlgorithms) {
    this.#source = source;
    this.header = header;
    this.#algorithms = algorithms;
  }

  /** The master key out of a slot; null if the passphrase is not the slot's. */
  *keyOf(index: number, slot: KeySlot, passphrase: Buffer): Steps<Buffer | null> {
    const { keyBytes, digest, digestSalt, digestIterations } = this.header;
    const { hash } = this.#algorithms;
    const slotKey = yield* this.#derive(`Keyslot ${index}`, passphrase, slot.salt, slot.iterations, keyBytes);
    // Rounded up to sectors, in which it is encrypted.
    const material = Buffer.alloc(Math.ceil((keyBytes * slot.stripes) / SECTOR_BYTES) * SECTOR_BYTES);
    yield this.#source.read(slot.materialSector * SECTOR_BYTES, material);
    new SectorCipher(this.#algorithms, slotKey).decrypt(0, material, material);
    const key = mergeStripes(hash, material, keyBytes, slot.stripes);
    const proof = yield* this.#derive('LUKS key', key, digestSalt, digestIterations, digest.length);
    slotKey.fill(0);
    material.fill(0);
    return proof.equals(digest) ? key : null;
  }

  /** PBKDF2, bounded for the whole open. */
  *#derive(what: string, secret: Buffer, salt: Buffer, iterations: number, bytes: number): Steps<Buffer> {
    const { hash } = this.#algorithms;
    const work = iterations * Math.ceil(bytes / digestLength(hash));
    if (work > this.#iterationsLeft) {
      throw new CryptoError(`${what} iteration count ${iterations} is more than blkscope computes`);
    }
    this.#iterationsLeft -= work;
    return yield* deriveKey(this.#source.wait, { secret, salt, iterations, bytes, hash });
  }
}
