/**
 * LUKS1 volumes made field by field, the same in every run: each sector is encrypted by Node's own mode, so that the
 * modes of `src/crypto` are not tried on themselves.
 */
import { createCipheriv, createHash, pbkdf2Sync } from 'node:crypto';

/**
 * @typedef {object} VolumeSettings
 * @property {'aes-xts-plain64' | 'aes-cbc-plain64' | 'sm4-cbc-plain64'} [cipher] XTS with keys of 32 or 64 bytes,
 *   CBC of 16 or 32; SM4 has 16.
 * @property {number} [keyBytes]
 * @property {'sha1' | 'sha256' | 'sha512' | 'ripemd160'} [hash]
 * @property {readonly (string | undefined)[]} [passphrases] By key slot; undefined: it is not used.
 * @property {number} [iterations]
 */

const STRIPES = 4000;
const SECTOR_BYTES = 512;
const HEADER_SECTORS = 8;
const SLOTS = 8;

/** Header and key material: everything before the data. @param {VolumeSettings} [settings] */
export function makeVolume(settings = {}) {
  const { cipher = 'aes-cbc-plain64', keyBytes = 16, hash = 'sha256', passphrases = ['hunter2'] } = settings;
  const { iterations = 1000 } = settings;
  const slotSectors = Math.ceil(Math.ceil((keyBytes * STRIPES) / SECTOR_BYTES) / HEADER_SECTORS) * HEADER_SECTORS;
  const payloadSector = HEADER_SECTORS + SLOTS * slotSectors;
  const volume = Buffer.alloc(payloadSector * SECTOR_BYTES);
  const key = numbers('key', keyBytes);
  const salt = numbers('salt of the key', 32);
  const [name = '', ...mode] = cipher.split('-');
  volume.write('LUKS\xba\xbe\0\x01', 0, 'latin1');
  volume.write(name, 8);
  volume.write(mode.join('-'), 40);
  volume.write(hash, 72);
  volume.writeUInt32BE(payloadSector, 104);
  volume.writeUInt32BE(keyBytes, 108);
  pbkdf2Sync(key, salt, iterations, 20, hash).copy(volume, 112);
  salt.copy(volume, 132);
  volume.writeUInt32BE(iterations, 164);
  volume.write('01234567-89ab-cdef-0123-456789abcdef', 168);
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = 208 + slot * 48;
    const passphrase = passphrases[slot];
    const materialSector = HEADER_SECTORS + slot * slotSectors;
    volume.writeUInt32BE(passphrase === undefined ? 0xdead : 0x00ac71f3, at);
    volume.writeUInt32BE(materialSector, at + 40);
    volume.writeUInt32BE(STRIPES, at + 44);
    if (passphrase === undefined) continue;
    const slotSalt = numbers(`salt ${slot}`, 32);
    volume.writeUInt32BE(iterations, at + 4);
    slotSalt.copy(volume, at + 8);
    const slotKey = pbkdf2Sync(passphrase, slotSalt, iterations, keyBytes, hash);
    encryptSectors(cipher, slotKey, split(key, hash, slot)).copy(volume, materialSector * SECTOR_BYTES);
  }
  return volume;
}

/** So many bytes that follow from a word. @param {string} word @param {number} bytes */
function numbers(word, bytes) {
  return createHash('shake256', { outputLength: bytes }).update(word).digest();
}

/** @param {Buffer} key @param {string} hash @param {number} slot */
function split(key, hash, slot) {
  const stripes = numbers(`stripes ${slot}`, key.length * STRIPES);
  /** @type {Buffer} */
  let block = Buffer.alloc(key.length);
  for (let stripe = 0; stripe < STRIPES - 1; stripe++) {
    block = diffuse(xor(block, stripes.subarray(stripe * key.length, (stripe + 1) * key.length)), hash);
  }
  xor(block, key).copy(stripes, (STRIPES - 1) * key.length);
  return stripes;
}

/** @param {Buffer} a @param {Buffer} b */
function xor(a, b) {
  return Buffer.from(a.map((byte, index) => byte ^ (b[index] ?? 0)));
}

/** @param {Buffer} block @param {string} hash */
function diffuse(block, hash) {
  const bytes = createHash(hash).digest().length;
  const parts = Array.from({ length: Math.ceil(block.length / bytes) }, (_, index) => {
    const number = Buffer.from([0, 0, 0, index]);
    const part = block.subarray(index * bytes, (index + 1) * bytes);
    return createHash(hash).update(number).update(part).digest().subarray(0, part.length);
  });
  return Buffer.concat(parts);
}

/** @param {string} cipher @param {Buffer} key @param {Buffer} data */
function encryptSectors(cipher, key, data) {
  const mode = cipher.includes('xts') ? 'xts' : 'cbc';
  const name = cipher.startsWith('sm4') ? 'sm4' : `aes-${(mode === 'xts' ? key.length / 2 : key.length) * 8}`;
  const sectors = [];
  for (let sector = 0; sector * SECTOR_BYTES < data.length; sector++) {
    const iv = Buffer.alloc(16);
    iv.writeUInt32LE(sector);
    const one = createCipheriv(`${name}-${mode}`, key, iv).setAutoPadding(false);
    sectors.push(one.update(data.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)));
  }
  return Buffer.concat(sectors);
}
