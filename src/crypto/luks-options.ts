/** The options of new LUKS volumes, alone and in qcow2 images: their names, their values, and what they choose. */
import { cipherByName, CryptoError, modeByName } from './algorithms.ts';
import type { LuksChoices } from './luks-create.ts';

/** An option, in QEMU's order. */
interface LuksOption {
  readonly name: string;
  readonly type: 'string' | 'number';
  readonly help: string;
}

/** All options, with a prefix. */
export function luksCreateOptions(prefix = ''): LuksOption[] {
  return options.map(({ name, ...option }) => ({ name: prefix + name, ...option }));
}

const options: readonly LuksOption[] = [
  { name: 'key-secret', type: 'string', help: 'the secret that is the passphrase, by its id of --object' },
  { name: 'cipher-alg', type: 'string', help: 'the cipher: aes-256, aes-192 or aes-128' },
  { name: 'cipher-mode', type: 'string', help: 'its mode: xts, cbc, ctr or ecb' },
  { name: 'ivgen-alg', type: 'string', help: 'how sectors differ: plain64, plain or essiv' },
  { name: 'ivgen-hash-alg', type: 'string', help: 'the hash of essiv: sha256 and others' },
  { name: 'hash-alg', type: 'string', help: 'the hash of the derivation of keys: sha256 and others' },
  { name: 'iter-time', type: 'number', help: 'how long the derivation takes here, in milliseconds: 2000 without it' },
];

const ciphers = [
  'aes-128',
  'aes-192',
  'aes-256',
  'cast5-128',
  'serpent-128',
  'serpent-192',
  'serpent-256',
  'twofish-128',
  'twofish-192',
  'twofish-256',
];
const modes = ['ecb', 'cbc', 'xts', 'ctr'];
const ivs = ['plain', 'plain64', 'essiv'];
const hashes = ['md5', 'sha1', 'sha256', 'sha512', 'sha224', 'sha384', 'ripemd160'];
const ITER_TIME_MS = 2000;

/**
 * The choices of options whose names begin with `prefix`; numbers stand in decimal digits. CryptoError with QEMU's text
 * for a value that is not known.
 */
export function luksChoices(values: ReadonlyMap<string, string>, prefix: string): LuksChoices {
  const choice = (name: string, known: readonly string[]): string | null => {
    const value = values.get(prefix + name) ?? null;
    if (value !== null && !known.includes(value)) {
      throw new CryptoError(`Parameter '${name}' does not accept value '${value}'`);
    }
    return value;
  };
  const iterTimeMs = Number(values.get(`${prefix}iter-time`) ?? ITER_TIME_MS);
  const cipher = choice('cipher-alg', ciphers) ?? 'aes-256';
  const modeName = choice('cipher-mode', modes) ?? 'xts';
  const iv = choice('ivgen-alg', ivs) ?? 'plain64';
  const ivHash = choice('ivgen-hash-alg', hashes) ?? (iv === 'essiv' ? 'sha256' : null);
  const hashSpec = choice('hash-alg', hashes) ?? 'sha256';
  const [cipherName = '', bits] = cipher.split('-');
  const mode = modeByName(modeName);
  const keyBytes = (Number(bits) / 8) * (mode === 'xts' ? 2 : 1);
  cipherByName(cipherName, mode, keyBytes);
  const cipherMode = `${mode}-${iv}${ivHash === null ? '' : `:${ivHash}`}`;
  return { cipherName, cipherMode, hashSpec, keyBytes, iterTimeMs };
}
