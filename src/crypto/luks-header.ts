/** The header of a LUKS1 volume: its bytes, the checks that QEMU makes of them, and the algorithms that it names. */
import {
  type CipherAlgorithm,
  cipherByName,
  type CipherMode,
  CryptoError,
  essivCipher,
  type HashName,
  hashByName,
  ivByName,
  type LaterAlgorithms,
  modeByName,
  noLaterAlgorithms,
} from './algorithms.ts';
import type { IvSettings } from './iv.ts';
import { SECTOR_BYTES } from './sector-cipher.ts';

/** Bytes of the header, without the key material behind it. */
export const LUKS_HEADER_BYTES = 592;
/** Stripes of every key slot: LUKS1 leaves it open, QEMU and cryptsetup do not. */
export const STRIPES = 4000;

/** Where the fields are (LUKS1 on-disk format 1.2.1, figures 1 and 2). Numbers are big-endian. */
const Field = {
  MAGIC: 0,
  VERSION: 6,
  CIPHER_NAME: 8,
  CIPHER_MODE: 40,
  HASH_SPEC: 72,
  PAYLOAD_SECTOR: 104,
  KEY_BYTES: 108,
  DIGEST: 112,
  DIGEST_SALT: 132,
  DIGEST_ITERATIONS: 164,
  UUID: 168,
  SLOTS: 208,
} as const;
const SlotField = { STATE: 0, ITERATIONS: 4, SALT: 8, MATERIAL_SECTOR: 40, STRIPES: 44 } as const;
const NAME_BYTES = 32;
/** Bytes of the digest of the master key, and of each salt. */
export const DIGEST_BYTES = 20;
export const LUKS_SALT_BYTES = 32;
const UUID_BYTES = 40;
const SLOT_BYTES = 48;
const SLOT_COUNT = 8;
const SLOT_ENABLED = 0x00ac_71f3;
const SLOT_DISABLED = 0x0000_dead;
const MAGIC = Buffer.from('LUKS\xba\xbe', 'latin1');
const VERSION = 1;
/** The header's own space; key material is aligned to it. */
const HEADER_SECTORS = 4096 / SECTOR_BYTES;

/** One of eight places for the master key, encrypted with a passphrase. */
export interface KeySlot {
  /** `SLOT_ENABLED`, `SLOT_DISABLED`, or damaged. */
  readonly state: number;
  readonly isActive: boolean;
  readonly iterations: number;
  readonly salt: Buffer;
  /** Sectors from the volume's start. */
  readonly materialSector: number;
  readonly stripes: number;
}

/** The fields, as they are. Names end at their NUL; null if there is none. */
export interface LuksHeader {
  readonly version: number;
  readonly cipherName: string | null;
  readonly cipherMode: string | null;
  readonly hashSpec: string | null;
  /** Sectors from the volume's start to the encrypted data. */
  readonly payloadSector: number;
  readonly keyBytes: number;
  /** Tells the right master key: derived from it with this salt and so many iterations. */
  readonly digest: Buffer;
  readonly digestSalt: Buffer;
  readonly digestIterations: number;
  readonly uuid: string;
  readonly slots: readonly KeySlot[];
}

/** The fields of a new header, whose first slot alone is used. */
export interface NewLuksHeader {
  readonly cipherName: string;
  readonly cipherMode: string;
  readonly hashSpec: string;
  readonly keyBytes: number;
  readonly digest: Buffer;
  readonly digestSalt: Buffer;
  readonly digestIterations: number;
  readonly uuid: string;
  readonly slot: { readonly iterations: number; readonly salt: Buffer };
}

/** The algorithms of a volume. */
export interface LuksAlgorithms {
  readonly cipher: CipherAlgorithm;
  readonly mode: CipherMode;
  readonly iv: IvSettings;
  /** Of the derivation of keys, and of the splitter. */
  readonly hash: HashName;
}

/** The fields of a header, unchecked but for its mark. CryptoError if that is not LUKS's. */
export function parseLuksHeader(data: Buffer): LuksHeader {
  if (!data.subarray(0, MAGIC.length).equals(MAGIC)) throw new CryptoError('Volume is not in LUKS format');
  const bytesAt = (offset: number, bytes: number): Buffer => data.subarray(offset, offset + bytes);
  return {
    version: data.readUInt16BE(Field.VERSION),
    cipherName: untilNul(bytesAt(Field.CIPHER_NAME, NAME_BYTES)),
    cipherMode: untilNul(bytesAt(Field.CIPHER_MODE, NAME_BYTES)),
    hashSpec: untilNul(bytesAt(Field.HASH_SPEC, NAME_BYTES)),
    payloadSector: data.readUInt32BE(Field.PAYLOAD_SECTOR),
    keyBytes: data.readUInt32BE(Field.KEY_BYTES),
    digest: bytesAt(Field.DIGEST, DIGEST_BYTES),
    digestSalt: bytesAt(Field.DIGEST_SALT, LUKS_SALT_BYTES),
    digestIterations: data.readUInt32BE(Field.DIGEST_ITERATIONS),
    uuid: untilNul(bytesAt(Field.UUID, UUID_BYTES)) ?? bytesAt(Field.UUID, UUID_BYTES).toString(),
    slots: Array.from({ length: SLOT_COUNT }, (_, index) =>
      parseSlot(bytesAt(Field.SLOTS + index * SLOT_BYTES, SLOT_BYTES)),
    ),
  };
}

function untilNul(field: Buffer): string | null {
  const end = field.indexOf(0);
  return end < 0 ? null : field.toString('utf8', 0, end);
}

function parseSlot(data: Buffer): KeySlot {
  const state = data.readUInt32BE(SlotField.STATE);
  return {
    state,
    isActive: state === SLOT_ENABLED,
    iterations: data.readUInt32BE(SlotField.ITERATIONS),
    salt: data.subarray(SlotField.SALT, SlotField.SALT + LUKS_SALT_BYTES),
    materialSector: data.readUInt32BE(SlotField.MATERIAL_SECTOR),
    stripes: data.readUInt32BE(SlotField.STRIPES),
  };
}

/**
 * CryptoError with QEMU's text, and in its order, for the first thing that is wrong. Sums wrap around as QEMU's do. A
 * detached header is not in front of the data: these may overlap.
 */
export function checkLuksHeader(header: LuksHeader, isDetached = false): void {
  const { version, cipherName, cipherMode, hashSpec, payloadSector, digestIterations, slots } = header;
  if (version !== VERSION) throw new CryptoError(`LUKS version ${version} is not supported`);
  if (cipherName === null) throw new CryptoError('LUKS header cipher name is not NUL terminated');
  if (cipherMode === null) throw new CryptoError('LUKS header cipher mode is not NUL terminated');
  if (hashSpec === null) throw new CryptoError('LUKS header hash spec is not NUL terminated');
  if (!isDetached && payloadSector < HEADER_SECTORS)
    throw new CryptoError('LUKS payload is overlapping with the header');
  if (digestIterations === 0) throw new CryptoError('LUKS key iteration count is zero');
  for (const index of slots.keys()) checkSlot(header, index, isDetached);
}

function checkSlot({ slots, keyBytes, payloadSector }: LuksHeader, index: number, isDetached: boolean): void {
  const slot = slots[index] as KeySlot;
  const start = slot.materialSector;
  const end = (start + materialSectors(keyBytes, slot.stripes)) >>> 0;
  if (slot.stripes !== STRIPES) {
    throw new CryptoError(`Keyslot ${index} is corrupted (stripes ${slot.stripes | 0} != ${STRIPES})`);
  }
  if (slot.state !== SLOT_DISABLED && slot.state !== SLOT_ENABLED) {
    throw new CryptoError(`Keyslot ${index} state (active/disable) is corrupted`);
  }
  if (slot.isActive && slot.iterations === 0) throw new CryptoError(`Keyslot ${index} iteration count is zero`);
  if (start < HEADER_SECTORS) throw new CryptoError(`Keyslot ${index} is overlapping with the LUKS header`);
  if (!isDetached && end > payloadSector)
    throw new CryptoError(`Keyslot ${index} is overlapping with the encrypted payload`);
  for (let other = index + 1; other < slots.length; other++) {
    const { materialSector, stripes } = slots[other] as KeySlot;
    const otherEnd = (materialSector + materialSectors(keyBytes, stripes)) >>> 0;
    if (end > materialSector && otherEnd > start) {
      throw new CryptoError(`Keyslots ${index} and ${other} are overlapping in the header`);
    }
  }
}

/** Sectors for the split key of a slot, rounded up to the header's; not what the specification says, but cryptsetup. */
function materialSectors(keyBytes: number, stripes: number): number {
  const sectors = Math.ceil((Math.imul(keyBytes, stripes) >>> 0) / SECTOR_BYTES);
  return Math.ceil(sectors / HEADER_SECTORS) * HEADER_SECTORS;
}

/** The algorithms that a checked header names. CryptoError with QEMU's text for one that is not known. */
export function luksAlgorithms(
  header: Pick<LuksHeader, 'cipherName' | 'cipherMode' | 'hashSpec' | 'keyBytes'>,
  later: LaterAlgorithms = noLaterAlgorithms,
): LuksAlgorithms {
  const { cipherName, cipherMode, hashSpec, keyBytes } = header;
  // "cbc-essiv:sha256"
  const parts = /^([^-]*)-([^:]*)(?::(.*))?$/s.exec(cipherMode ?? '');
  if (parts === null) throw new CryptoError(`Unexpected cipher mode string format '${cipherMode}'`);
  const [, modeName = '', ivName = '', ivHashName] = parts;
  const ivHash = ivHashName === undefined ? null : hashByName(ivHashName, later);
  const mode = modeByName(modeName);
  const cipher = cipherByName(cipherName ?? '', mode, keyBytes, later);
  const hash = hashByName(hashSpec ?? '', later);
  const name = ivByName(ivName);
  // With the other generators dm-crypt ignores the name of a hash, and so does QEMU.
  if (name !== 'essiv') return { cipher, mode, hash, iv: { name, essiv: null } };
  if (ivHash === null) throw new CryptoError('Missing IV generator hash specification');
  return { cipher, mode, hash, iv: { name, essiv: { cipher: essivCipher(cipher, ivHash), hash: ivHash } } };
}

/** Where a new volume has the key material of each slot, and its data, in sectors and as QEMU lays it out. */
export function luksLayout(keyBytes: number): { readonly materialSectors: number[]; readonly payloadSector: number } {
  const sectors = materialSectors(keyBytes, STRIPES);
  const materials = Array.from({ length: SLOT_COUNT }, (_, index) => HEADER_SECTORS + index * sectors);
  return { materialSectors: materials, payloadSector: HEADER_SECTORS + SLOT_COUNT * sectors };
}

/** The bytes of a new header. */
export function newLuksHeader(fields: NewLuksHeader): Buffer {
  const layout = luksLayout(fields.keyBytes);
  const data = Buffer.alloc(LUKS_HEADER_BYTES);
  MAGIC.copy(data);
  data.writeUInt16BE(VERSION, Field.VERSION);
  data.write(fields.cipherName, Field.CIPHER_NAME);
  data.write(fields.cipherMode, Field.CIPHER_MODE);
  data.write(fields.hashSpec, Field.HASH_SPEC);
  data.writeUInt32BE(layout.payloadSector, Field.PAYLOAD_SECTOR);
  data.writeUInt32BE(fields.keyBytes, Field.KEY_BYTES);
  fields.digest.copy(data, Field.DIGEST);
  fields.digestSalt.copy(data, Field.DIGEST_SALT);
  data.writeUInt32BE(fields.digestIterations, Field.DIGEST_ITERATIONS);
  data.write(fields.uuid, Field.UUID);
  for (const [index, sector] of layout.materialSectors.entries()) {
    const at = Field.SLOTS + index * SLOT_BYTES;
    data.writeUInt32BE(index === 0 ? SLOT_ENABLED : SLOT_DISABLED, at + SlotField.STATE);
    data.writeUInt32BE(sector, at + SlotField.MATERIAL_SECTOR);
    data.writeUInt32BE(STRIPES, at + SlotField.STRIPES);
  }
  data.writeUInt32BE(fields.slot.iterations, Field.SLOTS + SlotField.ITERATIONS);
  fields.slot.salt.copy(data, Field.SLOTS + SlotField.SALT);
  return data;
}
