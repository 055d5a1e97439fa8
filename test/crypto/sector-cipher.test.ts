/** Encryption of sectors: every mode is that of Node's own crypto, one sector at a time. */
import { createCipheriv, createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { cipherByName, type CipherMode, essivCipher } from '../../src/crypto/algorithms.ts';
import type { IvSettings } from '../../src/crypto/iv.ts';
import { SectorCipher } from '../../src/crypto/sector-cipher.ts';

const plain64: IvSettings = { name: 'plain64', essiv: null };

/** Bytes that follow from a word. */
function bytesOf(word: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(word).digest();
}

function cipherFor(mode: CipherMode, keyBytes: number, iv: IvSettings = plain64) {
  const key = bytesOf('key', keyBytes);
  return { key, cipher: new SectorCipher({ cipher: cipherByName('aes', mode, keyBytes), mode, iv }, key) };
}

function encrypted(cipher: SectorCipher, first: number, data: Buffer): Buffer {
  const target = Buffer.alloc(data.length);
  cipher.encrypt(first, data, target);
  return target;
}

/** Each sector encrypted by Node, with the vector that `ivOf` gives. */
function bySectors(name: string, key: Buffer, data: Buffer, ivOf: (sector: number) => Buffer | null): Buffer {
  const sectors = [];
  for (let sector = 0; sector * 512 < data.length; sector++) {
    const one = createCipheriv(name, key, ivOf(sector)).setAutoPadding(false);
    sectors.push(one.update(data.subarray(sector * 512, (sector + 1) * 512)));
  }
  return Buffer.concat(sectors);
}

function number64(sector: number): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeBigUInt64LE(BigInt(sector));
  return iv;
}

describe('a mode with the vectors of plain64', () => {
  it.each([
    ['aes-128-xts', 'xts', 32],
    ['aes-256-xts', 'xts', 64],
    ['aes-128-cbc', 'cbc', 16],
    ['aes-192-cbc', 'cbc', 24],
    ['aes-256-cbc', 'cbc', 32],
    ['aes-128-ctr', 'ctr', 16],
    ['aes-256-ctr', 'ctr', 32],
  ] as const)('is %s of each sector, over several batches and 2^32', (name, mode, keyBytes) => {
    const { key, cipher } = cipherFor(mode, keyBytes);
    const data = bytesOf('data', 300 * 512);
    const first = 2 ** 32 - 150;
    const expected = bySectors(name, key, data, (sector) => number64(first + sector));
    expect(encrypted(cipher, first, data).equals(expected)).toBe(true);
    cipher.decrypt(first, expected, expected);
    expect(expected.equals(data)).toBe(true);
  });
});

it('needs no vector in ECB mode', () => {
  const { key, cipher } = cipherFor('ecb', 32);
  const data = bytesOf('data', 1024);
  expect(encrypted(cipher, 7, data).equals(bySectors('aes-256-ecb', key, data, () => null))).toBe(true);
});

it('uses the low 32 bits of the number with plain', () => {
  const { cipher } = cipherFor('cbc', 16, { name: 'plain', essiv: null });
  const data = bytesOf('data', 512);
  expect(encrypted(cipher, 2 ** 32 + 5, data).equals(encrypted(cipher, 5, data))).toBe(true);
});

it('encrypts the number with the hash of the key with essiv', () => {
  const aes128 = cipherByName('aes', 'cbc', 16);
  const { key, cipher } = cipherFor('cbc', 16, {
    name: 'essiv',
    essiv: { cipher: essivCipher(aes128, 'sha256'), hash: 'sha256' },
  });
  const salt = createHash('sha256').update(key).digest();
  const data = bytesOf('data', 200 * 512);
  const expected = bySectors('aes-128-cbc', key, data, (sector) =>
    createCipheriv('aes-256-ecb', salt, null).update(number64(sector)),
  );
  expect(encrypted(cipher, 0, data).equals(expected)).toBe(true);
});

it('counts over the end of the low 32 bits in CTR mode', () => {
  // With the vectors of essiv a counter begins anywhere; that of this sector passes the end.
  const aes128 = cipherByName('aes', 'ctr', 16);
  const essiv = { name: 'essiv', essiv: { cipher: essivCipher(aes128, 'md5'), hash: 'md5' } } as const;
  const { key, cipher } = cipherFor('ctr', 16, essiv);
  const salt = createHash('md5').update(key).digest();
  const vector = (sector: number) => createCipheriv('aes-128-ecb', salt, null).update(number64(sector));
  const first = 2_185_092;
  expect(vector(first).readUInt32BE(12)).toBe(2 ** 32 - 19);
  const data = bytesOf('data', 512);
  const expected = bySectors('aes-128-ctr', key, data, () => vector(first));
  expect(encrypted(cipher, first, data).equals(expected)).toBe(true);
});

it('has XTS with keys of 24 bytes, which OpenSSL has not', () => {
  const { key, cipher } = cipherFor('xts', 48);
  const data = bytesOf('data', 512);
  // The first block, by hand: XORed with its tweak before and after.
  const tweak = createCipheriv('aes-192-ecb', key.subarray(24), null).update(number64(9));
  const mixed = Buffer.from(tweak.map((byte, index) => byte ^ (data[index] ?? 0)));
  const block = createCipheriv('aes-192-ecb', key.subarray(0, 24), null).update(mixed);
  const result = encrypted(cipher, 9, data);
  expect(result.subarray(0, 16)).toEqual(Buffer.from(block.map((byte, index) => byte ^ (tweak[index] ?? 0))));
  cipher.decrypt(9, result, result);
  expect(result.equals(data)).toBe(true);
});

it('works in place and on memory that begins at no word', () => {
  const { cipher } = cipherFor('xts', 32);
  const data = bytesOf('data', 2048);
  const odd = Buffer.alloc(2049).subarray(1);
  data.copy(odd);
  cipher.encrypt(3, odd, odd);
  expect(odd.equals(encrypted(cipher, 3, data))).toBe(true);
});

describe('a key or a cipher that cannot be', () => {
  it.each([
    ['aes', 'xts', 33, 'XTS cipher key length should be a multiple of 2'],
    ['serpent', 'cbc', 16, 'Unsupported cipher algorithm serpent-128'],
    ['twofish', 'xts', 64, 'Unsupported cipher algorithm twofish-256'],
    ['cast5', 'cbc', 16, 'Unsupported cipher algorithm cast5-128'],
  ] as const)('%s in %s mode with %d bytes', (name, mode, keyBytes, message) => {
    const cipher = cipherByName(name, mode, keyBytes);
    expect(() => new SectorCipher({ cipher, mode, iv: plain64 }, Buffer.alloc(keyBytes))).toThrow(message);
  });
});
