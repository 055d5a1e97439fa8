/**
 * Encryption of sectors of 512 bytes: each begins anew, from an initialisation vector that follows from its number.
 *
 * Every mode is made of the bare block cipher. A call of Node's crypto costs as much as a sector, and one object for
 * each sector several times that; so a batch of sectors is one call, and what a mode adds to the blocks is done here.
 */
import { endianness } from 'node:os';
import { type CipherAlgorithm, type CipherMode, CryptoError } from './algorithms.ts';
import { BLOCK_BYTES, BLOCK_WORDS, BlockCipher, wordsOf } from './block-cipher.ts';
import { ivGenerator, type IvGenerator, type IvSettings } from './iv.ts';
import { BATCH_BYTES, tweakMixer } from './tweak-mixer.ts';

/** Bytes of a sector, whatever the image's clusters are. */
export const SECTOR_BYTES = 512;
const BATCH_SECTORS = BATCH_BYTES / SECTOR_BYTES;
const SECTOR_WORDS = SECTOR_BYTES / Int32Array.BYTES_PER_ELEMENT;
const SECTOR_BLOCKS = SECTOR_BYTES / BLOCK_BYTES;

/** How the sectors of an image are encrypted. */
export interface SectorSettings {
  readonly cipher: CipherAlgorithm;
  readonly mode: CipherMode;
  readonly iv: IvSettings;
}

/** Encrypts and decrypts sectors with one key. */
export class SectorCipher {
  readonly #mode: Mode;
  readonly #batch: Buffer;

  /** CryptoError with QEMU's text for a key of a wrong length or a cipher that OpenSSL lacks. */
  constructor(settings: SectorSettings, key: Uint8Array) {
    this.#mode = modeOf(settings, key);
    this.#batch = this.#mode.batch ?? Buffer.alloc(BATCH_BYTES);
  }

  /**
   * Encrypts whole sectors from `source` into `target`, which may be the same memory. `firstSector` is the number of
   * the first one, up to 2^44.
   */
  encrypt(firstSector: number, source: Uint8Array, target: Uint8Array): void {
    this.#each(firstSector, source, target, this.#mode.encrypt);
  }

  /** Decrypts whole sectors, as `encrypt`. */
  decrypt(firstSector: number, source: Uint8Array, target: Uint8Array): void {
    this.#each(firstSector, source, target, this.#mode.decrypt);
  }

  #each(firstSector: number, source: Uint8Array, target: Uint8Array, transform: Transform): void {
    for (let done = 0; done < source.length; done += this.#batch.length) {
      const part = source.subarray(done, done + this.#batch.length);
      const batch = this.#batch.subarray(0, part.length);
      // Words are aligned only here.
      batch.set(part);
      transform(firstSector + done / SECTOR_BYTES, batch, target.subarray(done, done + part.length));
    }
  }
}

/** Transforms a batch into `target`, and may use its memory for that. */
type Transform = (firstSector: number, batch: Buffer, target: Uint8Array) => void;

interface Mode {
  /** Memory for batches, of `BATCH_BYTES`, if the mode has its own. */
  readonly batch?: Buffer;
  readonly encrypt: Transform;
  readonly decrypt: Transform;
}

function modeOf({ cipher, mode, iv }: SectorSettings, key: Uint8Array): Mode {
  checkKeyLength(cipher, mode, key.length);
  // QEMU makes the cipher before the generator: which of two refusals is seen follows from that.
  const blocks = new BlockCipher(cipher, key.subarray(0, cipher.keyBytes));
  const tweaks = mode === 'xts' ? new BlockCipher(cipher, key.subarray(cipher.keyBytes)) : null;
  const vectors = ivGenerator(iv, key);
  switch (mode) {
    case 'ecb':
      return {
        encrypt: (_first, batch, target) => target.set(blocks.encrypt(batch)),
        decrypt: (_first, batch, target) => target.set(blocks.decrypt(batch)),
      };
    case 'cbc':
      return { encrypt: cbcEncryption(blocks, vectors), decrypt: cbcDecryption(blocks, vectors) };
    case 'ctr': {
      const transform = counterMode(blocks, vectors);
      return { encrypt: transform, decrypt: transform };
    }
    case 'xts':
      return xtsMode(blocks, tweaks ?? blocks, vectors);
  }
}

function checkKeyLength({ keyBytes }: CipherAlgorithm, mode: CipherMode, bytes: number): void {
  if (mode === 'xts' && bytes % 2 !== 0) throw new CryptoError('XTS cipher key length should be a multiple of 2');
  const wanted = mode === 'xts' ? keyBytes * 2 : keyBytes;
  if (bytes !== wanted) throw new CryptoError(`Cipher key length ${bytes} should be ${wanted}`);
}

/** XTS (IEEE 1619): each block between two XORs with its tweak; the tweaks of a sector follow from its encrypted IV. */
function xtsMode(blocks: BlockCipher, tweaks: BlockCipher, vectors: IvGenerator): Mode {
  if (!isLittleEndian) throw new CryptoError('XTS needs a host of little-endian byte order');
  const mixer = tweakMixer();
  const between =
    (transform: (batch: Buffer) => Buffer): Transform =>
    (firstSector, batch, target) => {
      const sectors = batch.length / SECTOR_BYTES;
      mixer.mix(sectors, tweaks.encrypt(vectors(firstSector, sectors)));
      batch.set(transform(batch));
      mixer.mixAgain(sectors);
      target.set(batch);
    };
  return {
    batch: mixer.batch,
    encrypt: between((batch) => blocks.encrypt(batch)),
    decrypt: between((batch) => blocks.decrypt(batch)),
  };
}

function xorInto(words: Int32Array, others: Int32Array): void {
  for (let index = 0; index < words.length; index++)
    words[index] = (words[index] as number) ^ (others[index] as number);
}

/** CBC: each block is XORed with the encrypted one before it. All sectors go on together, a block of each at a time. */
function cbcEncryption(blocks: BlockCipher, vectors: IvGenerator): Transform {
  return (firstSector, batch, target) => {
    const words = wordsOf(batch);
    let previous = wordsOf(vectors(firstSector, batch.length / SECTOR_BYTES));
    const chained = new Int32Array(previous.length);
    const input = Buffer.from(chained.buffer);
    for (let block = 0; block < SECTOR_BLOCKS; block++) {
      for (let at = 0, from = block * BLOCK_WORDS; at < chained.length; at += BLOCK_WORDS, from += SECTOR_WORDS) {
        for (let word = 0; word < BLOCK_WORDS; word++) {
          chained[at + word] = (previous[at + word] as number) ^ (words[from + word] as number);
        }
      }
      previous = wordsOf(blocks.encrypt(input));
      for (let at = 0, to = block * BLOCK_WORDS; at < chained.length; at += BLOCK_WORDS, to += SECTOR_WORDS) {
        for (let word = 0; word < BLOCK_WORDS; word++) words[to + word] = previous[at + word] as number;
      }
    }
    target.set(batch);
  };
}

function cbcDecryption(blocks: BlockCipher, vectors: IvGenerator): Transform {
  return (firstSector, batch, target) => {
    const encrypted = wordsOf(batch);
    const result = blocks.decrypt(batch);
    const words = wordsOf(result);
    const first = wordsOf(vectors(firstSector, batch.length / SECTOR_BYTES));
    for (let sector = 0, at = 0; at < words.length; sector++) {
      for (let word = 0; word < BLOCK_WORDS; word++, at++) {
        words[at] = (words[at] as number) ^ (first[sector * BLOCK_WORDS + word] as number);
      }
      for (const end = (sector + 1) * SECTOR_WORDS; at < end; at++) {
        words[at] = (words[at] as number) ^ (encrypted[at - BLOCK_WORDS] as number);
      }
    }
    target.set(result);
  };
}

/** CTR: the data is XORed with encrypted counters, which begin at the IV and count up as big-endian numbers. */
function counterMode(blocks: BlockCipher, vectors: IvGenerator): Transform {
  const counters = new Int32Array(BATCH_SECTORS * SECTOR_WORDS);
  return (firstSector, batch, target) => {
    const first = wordsOf(vectors(firstSector, batch.length / SECTOR_BYTES));
    for (let from = 0, at = 0; from < first.length; from += BLOCK_WORDS, at += SECTOR_WORDS) {
      fillCounters(counters.subarray(at, at + SECTOR_WORDS), first.subarray(from, from + BLOCK_WORDS));
    }
    xorInto(wordsOf(batch), wordsOf(blocks.encrypt(bytesOf(counters).subarray(0, batch.length))));
    target.set(batch);
  };
}

/** The counters of one sector. */
function fillCounters(counters: Int32Array, first: Int32Array): void {
  const [a = 0, b = 0, c = 0, d = 0] = first;
  const low = bigEndian(d) >>> 0;
  if (low + SECTOR_BLOCKS > 2 ** 32) return fillWithCarry(counters, first);
  for (let block = 0, at = 0; block < SECTOR_BLOCKS; block++, at += BLOCK_WORDS) {
    counters[at] = a;
    counters[at + 1] = b;
    counters[at + 2] = c;
    counters[at + 3] = bigEndian(low + block);
  }
}

/** The counters of a sector whose last word does not suffice. */
function fillWithCarry(counters: Int32Array, first: Int32Array): void {
  const bytes = bytesOf(counters);
  const counter = Buffer.from(bytesOf(first));
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    bytes.set(counter, at);
    countUp(counter);
  }
}

const isLittleEndian = endianness() === 'LE';

/** Between a word of the host's order and one of the big-endian order. */
function bigEndian(word: number): number {
  if (!isLittleEndian) return word;
  return (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24);
}

function bytesOf(words: Int32Array): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength);
}

function countUp(number: Buffer): void {
  for (let at = number.length - 1; at >= 0; at--) {
    const byte = ((number[at] as number) + 1) & 0xff;
    number[at] = byte;
    if (byte !== 0) return;
  }
}
