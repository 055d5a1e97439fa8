/** Opening LUKS1 volumes: passphrases, damaged headers, and headers that ask for more work than there is time. */
import { describe, expect, it } from 'vitest';
import { CryptoError } from '../../src/crypto/algorithms.ts';
import { type LuksVolume, openLuks } from '../../src/crypto/luks.ts';
import { luksInfo } from '../../src/crypto/luks-info.ts';
import { run } from '../../src/util/steps.ts';
import { makeVolume } from '../helpers/luks-volume.js';

async function unlock(volume: Buffer, passphrase: string): Promise<LuksVolume> {
  const read = (offset: number, data: Buffer): undefined => {
    data.fill(0);
    volume.copy(data, 0, offset);
  };
  const wait = (begin: (arrived: () => void) => unknown) => new Promise<void>((resolve) => void begin(resolve));
  return run(openLuks({ read, wait }, Buffer.from(passphrase)));
}

async function refusal(volume: Buffer, passphrase = 'hunter2'): Promise<string> {
  try {
    await unlock(volume, passphrase);
  } catch (error) {
    if (error instanceof CryptoError) return error.message;
    throw error;
  }
  return 'opened';
}

describe('a volume opens with its passphrase', () => {
  it.each<Parameters<typeof makeVolume>[0]>([
    {},
    { cipher: 'aes-cbc-plain64', keyBytes: 32, hash: 'sha1' },
    { cipher: 'aes-xts-plain64', keyBytes: 32, hash: 'sha512' },
    { cipher: 'aes-xts-plain64', keyBytes: 64, hash: 'ripemd160' },
  ])('%j', async (settings) => {
    const { payloadOffset } = await unlock(makeVolume(settings), 'hunter2');
    expect(payloadOffset).toBe(makeVolume(settings).length);
  });

  it('in any of its slots', async () => {
    const volume = makeVolume({ passphrases: [undefined, 'first', undefined, 'second'] });
    expect(await refusal(volume, 'second')).toBe('opened');
    expect(await refusal(volume, 'first')).toBe('opened');
    expect(await refusal(volume, 'third')).toBe('Invalid password, cannot unlock any keyslot');
  });
});

it('tells of its algorithms and slots, and of no key', async () => {
  const info = luksInfo({ ...(await unlock(makeVolume(), 'hunter2')), tellsDetached: false });
  expect(info).toMatchObject({
    'cipher-alg': 'aes-128',
    'cipher-mode': 'cbc',
    'ivgen-alg': 'plain64',
    'hash-alg': 'sha256',
    uuid: '01234567-89ab-cdef-0123-456789abcdef',
    'payload-offset': 528384,
    'master-key-iters': 1000,
  });
  expect((info['slots'] as unknown[]).slice(0, 2)).toEqual([
    { active: true, iters: 1000, stripes: 4000, 'key-offset': 4096 },
    { active: false, 'key-offset': 69632 },
  ]);
});

// The texts are those of qemu-io 7.2.22; the last three are ours.
describe('a damaged header is refused', () => {
  const slot = (index: number, field: number): number => 208 + index * 48 + field;
  it.each<readonly [string, (volume: Buffer) => void]>([
    ['Volume is not in LUKS format', (volume) => volume.fill(0, 0, 1)],
    ['LUKS version 2 is not supported', (volume) => volume.writeUInt16BE(2, 6)],
    ['LUKS header cipher name is not NUL terminated', (volume) => volume.fill('a', 8, 40)],
    ['LUKS header cipher mode is not NUL terminated', (volume) => volume.fill('a', 40, 72)],
    ['LUKS header hash spec is not NUL terminated', (volume) => volume.fill('a', 72, 104)],
    ['LUKS payload is overlapping with the header', (volume) => volume.writeUInt32BE(7, 104)],
    ['LUKS key iteration count is zero', (volume) => volume.writeUInt32BE(0, 164)],
    ['Keyslot 1 is corrupted (stripes -1 != 4000)', (volume) => volume.writeUInt32BE(0xffffffff, slot(1, 44))],
    ['Keyslot 7 state (active/disable) is corrupted', (volume) => volume.writeUInt32BE(1, slot(7, 0))],
    ['Keyslot 0 iteration count is zero', (volume) => volume.writeUInt32BE(0, slot(0, 4))],
    ['Keyslot 0 is overlapping with the LUKS header', (volume) => volume.writeUInt32BE(7, slot(0, 40))],
    ['Keyslot 2 is overlapping with the encrypted payload', (volume) => volume.writeUInt32BE(1000, slot(2, 40))],
    ['Keyslots 0 and 3 are overlapping in the header', (volume) => volume.writeUInt32BE(100, slot(3, 40))],
    ["Unexpected cipher mode string format 'cbc'", (volume) => volume.fill(0, 43, 72)],
    ["Hash algorithm 'whirl' not supported", (volume) => volume.write('cbc-plain64:whirl', 40)],
    ["Cipher mode 'gcm' not supported", (volume) => volume.write('gcm', 40)],
    ["Algorithm 'des' with key size 16 bytes not supported", (volume) => volume.write('des\0', 8)],
    ["Algorithm 'aes' with key size 15 bytes not supported", (volume) => volume.writeUInt32BE(15, 108)],
    ["Algorithm 'aes' with key size 8 bytes not supported", (volume) => volume.write('xts-plain64', 40)],
    ["Hash algorithm 'sha3' not supported", (volume) => volume.write('sha3\0', 72)],
    ["IV generator 'benbi' not supported", (volume) => volume.write('cbc-benbi\0', 40)],
    ['Missing IV generator hash specification', (volume) => volume.write('cbc-essiv\0', 40)],
    ['No AES cipher with key size 20 available', (volume) => volume.write('cbc-essiv:sha1\0', 40)],
    ['Invalid password, cannot unlock any keyslot', (volume) => volume.fill(0xff, 4096, 4097)],
    ['Unsupported cipher algorithm serpent-128', (volume) => volume.write('serpent\0', 8)],
    [
      'Keyslot 0 iteration count 4294967295 is more than blkscope computes',
      (volume) => volume.writeUInt32BE(2 ** 32 - 1, slot(0, 4)),
    ],
    [
      'LUKS key iteration count 2000000000 is more than blkscope computes',
      (volume) => volume.writeUInt32BE(2_000_000_000, 164),
    ],
  ])('%s', async (message, damage) => {
    const volume = makeVolume();
    damage(volume);
    expect(await refusal(volume)).toBe(message);
  });

  it('whose key would overflow a sum of 32 bits', async () => {
    const volume = makeVolume();
    volume.writeUInt32BE(2 ** 30, 108);
    expect(await refusal(volume)).toBe("Algorithm 'aes' with key size 1073741824 bytes not supported");
  });
});

it('shares the bound of the work between its slots', async () => {
  const volume = makeVolume({ passphrases: ['a', 'b'] });
  volume.writeUInt32BE(2 ** 28 - 1000, 208 + 48 + 4);
  expect(await refusal(volume, 'c')).toMatch(/^Keyslot 1 iteration count/);
});
