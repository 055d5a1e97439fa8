/** The tweaks of XTS (IEEE 1619) over a batch of sectors. */
import { BLOCK_BYTES, BLOCK_WORDS, wordsOf } from './block-cipher.ts';

/** Bytes of the longest batch: it fits into a processor's second cache together with its tweaks. */
export const BATCH_BYTES = 65536;

const SECTOR_BYTES = 512;

/** Memory for one batch at a time, and the mixing of tweaks into it. */
export interface TweakMixer {
  readonly batch: Buffer;
  /**
   * XORs the blocks of the first `sectors` sectors with their tweaks: that of the first block of each sector, which is
   * in `first`, times x in GF(2^128) from block to block.
   */
  mix(sectors: number, first: Buffer): void;
  /** XORs the blocks of the first `sectors` sectors with the tweaks that `mix` has left. */
  mixAgain(sectors: number): void;
}

/** A mixer with memory of its own. */
export function tweakMixer(): TweakMixer {
  const batch = Buffer.alloc(BATCH_BYTES);
  const words = wordsOf(batch);
  const tweaks = new Int32Array(words.length);
  return {
    batch,
    mix: (sectors, first) => mixWords(words, tweaks, wordsOf(first), sectors),
    mixAgain(sectors) {
      const count = (sectors * SECTOR_BYTES) / Int32Array.BYTES_PER_ELEMENT;
      for (let index = 0; index < count; index++) words[index] = (words[index] as number) ^ (tweaks[index] as number);
    },
  };
}

function mixWords(words: Int32Array, tweaks: Int32Array, first: Int32Array, sectors: number): void {
  let at = 0;
  for (let from = 0; from < sectors * BLOCK_WORDS; from += BLOCK_WORDS) {
    let a = first[from] as number;
    let b = first[from + 1] as number;
    let c = first[from + 2] as number;
    let d = first[from + 3] as number;
    for (let block = 0; block < SECTOR_BYTES / BLOCK_BYTES; block++) {
      tweaks[at] = a;
      words[at] = (words[at] as number) ^ a;
      tweaks[at + 1] = b;
      words[at + 1] = (words[at + 1] as number) ^ b;
      tweaks[at + 2] = c;
      words[at + 2] = (words[at + 2] as number) ^ c;
      tweaks[at + 3] = d;
      words[at + 3] = (words[at + 3] as number) ^ d;
      at += BLOCK_WORDS;
      const carry = (d >> 31) & 0x87;
      d = (d << 1) | (c >>> 31);
      c = (c << 1) | (b >>> 31);
      b = (b << 1) | (a >>> 31);
      a = (a << 1) ^ carry;
    }
  }
}
