/** The anti-forensic splitter of LUKS1: a key as many stripes, of which none may be missing to have it back. */
import { digest, digestLength, type HashName } from './algorithms.ts';

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
