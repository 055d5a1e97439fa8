/** The anti-forensic splitter of LUKS1: a key as many stripes, of which none may be missing to have it back. */
import { digest, digestLength, type HashName } from './algorithms.ts';
import { SECTOR_BYTES } from './sector-cipher.ts';

/**
 * The key that was split into `stripes` parts of its length, which lie in `split` one behind the other (LUKS1 on-disk
 * format 1.2.1, 2.4).
 */
export function mergeStripes(hash: HashName, split: Buffer, keyBytes: number, stripes: number): Buffer {
  const key = Buffer.alloc(keyBytes);
  for (let stripe = 0; stripe < stripes; stripe++) {
    if (stripe > 0) diffuse(hash, key);
    for (let at = 0; at < keyBytes; at++) key[at] = (key[at] as number) ^ (split[stripe * keyBytes + at] as number);
  }
  return key;
}

/**
 * A key split into stripes, up to the end of a sector: all but the last are random, and the last makes the key of them.
 * `mergeStripes` reverses it.
 */
export function splitIntoStripes(
  hash: HashName,
  key: Buffer,
  stripes: number,
  random: (bytes: number) => Buffer,
): Buffer {
  const split = random(Math.ceil((key.length * stripes) / SECTOR_BYTES) * SECTOR_BYTES);
  const last = split.subarray(key.length * (stripes - 1), key.length * stripes);
  last.fill(0);
  mergeStripes(hash, split, key.length, stripes).copy(last);
  for (let at = 0; at < key.length; at++) last[at] = (last[at] as number) ^ (key[at] as number);
  return split;
}

/** Spreads every bit over its part of the block: each part becomes the hash of its number and itself. */
function diffuse(hash: HashName, block: Buffer): void {
  const bytes = digestLength(hash);
  const number = Buffer.alloc(4);
  for (let part = 0; part * bytes < block.length; part++) {
    number.writeUInt32BE(part);
    const old = block.subarray(part * bytes, (part + 1) * bytes);
    digest(hash, number, old).copy(old, 0, 0, old.length);
  }
}
