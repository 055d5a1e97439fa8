/** Encrypted qcow2 images: data, copies around it, what is kept of the header, and refusals. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UserObject } from '../../../src/block/user-object.ts';
import type { OptionValue } from '../../../src/block/options/options.ts';
import { makeVolume } from '../../helpers/luks-volume.js';
import { CLEAN, Qcow2Host } from './qcow2-host.ts';

const KIB = 1024;
const objects: ReadonlyMap<string, UserObject> = new Map([
  ['s', { kind: 'secret', content: Buffer.from('hunter2') }],
  ['wrong', { kind: 'secret', content: Buffer.from('hunter3') }],
]);

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host({ objects });
});
afterEach(() => host.remove());

const luks = makeVolume();
const secret = { 'encrypt.key-secret': 's' };

describe.each([
  ['luks', luks],
  ['aes', 'aes'],
] as const)('with encrypt.format=%s', (format, encryption) => {
  it('gives back what was written, the rest of the cluster as zeroes, and stores none of it', async () => {
    host.image('e', { encryption });
    const image = await host.openQcow2('e', secret);
    expect(await host.write(image, 3000, 5000, 0x5a)).toBe(0);
    expect(await host.write(image, 200 * KIB, 300 * KIB, 0x5b)).toBe(0);
    const expected = Buffer.alloc(1 << 20);
    expected.fill(0x5a, 3000, 8000).fill(0x5b, 200 * KIB, 500 * KIB);
    expect((await host.read(image, 0, 1 << 20)).equals(expected)).toBe(true);
    await host.close(image);
    const file = host.bytes('e');
    for (const byte of [0x5a, 0x5b]) expect(file.includes(Buffer.alloc(16, byte))).toBe(false);
    const again = await host.openQcow2('e', secret);
    expect((await host.read(again, 0, 1 << 20)).equals(expected)).toBe(true);
    expect(await host.check(again)).toMatchObject(CLEAN);
  });

  it('splits what is longer than 32 clusters', async () => {
    host.image('e', { encryption, clusterBits: 12, lengthBytes: 4 << 20 });
    const image = await host.openQcow2('e', secret);
    expect(await host.write(image, 2 * KIB, 1 << 20, 7)).toBe(0);
    expect((await host.read(image, 2 * KIB, 1 << 20)).every((byte) => byte === 7)).toBe(true);
  });

  it('says in the format of the options what the header does not have', async () => {
    host.image('e', { encryption });
    const other = format === 'luks' ? 'aes' : 'luks';
    expect(await host.refusal(optionsOf({ ...secret, 'encrypt.format': other }))).toBe(
      `Header reported '${format}' encryption format but options specify '${other}'`,
    );
  });

  it('needs a secret', async () => {
    host.image('e', { encryption });
    expect(await host.refusal(optionsOf({}))).toBe("Parameter 'encrypt.key-secret' is required for cipher");
  });
});

function optionsOf(more: Record<string, OptionValue>): Record<string, OptionValue> {
  return { driver: 'qcow2', 'file.driver': 'file', 'file.filename': host.path('e'), ...more };
}

it('encrypts by host offsets with LUKS, by guest offsets with AES', async () => {
  const stored: Record<string, Buffer[]> = {};
  for (const [name, encryption] of [
    ['luks', luks],
    ['aes', 'aes'],
  ] as const) {
    const images = [0, 1].map((order) => `${name}${order}`);
    stored[name] = [];
    for (const [order, file] of images.entries()) {
      host.image(file, { encryption });
      const image = await host.openQcow2(file, secret);
      // The second image has the cluster of guest offset 0 at another place.
      if (order === 1) await host.write(image, 512 * KIB, 64 * KIB, 1);
      await host.write(image, 0, 64 * KIB, 2);
      await host.close(image);
      stored[name].push(host.bytes(file).subarray(-64 * KIB));
    }
  }
  expect(stored['aes']?.[0]?.equals(stored['aes'][1] as Buffer)).toBe(true);
  expect(stored['luks']?.[0]?.equals(stored['luks'][1] as Buffer)).toBe(false);
});

it('does not tell a wrong passphrase from the right one with AES', async () => {
  host.image('e', { encryption: 'aes' });
  const image = await host.openQcow2('e', secret);
  await host.write(image, 0, 512, 1);
  await host.close(image);
  const again = await host.openQcow2('e', { 'encrypt.key-secret': 'wrong' });
  expect((await host.read(again, 0, 512)).every((byte) => byte === 1)).toBe(false);
});

it('keeps the place of the LUKS header when the header is written anew', async () => {
  host.image('e', { encryption: luks, lazyRefcounts: true });
  const before = host.bytes('e').subarray(112, 136);
  const image = await host.openQcow2('e', secret);
  await host.write(image, 0, 512, 1);
  await host.close(image);
  expect(host.bytes('e').includes(before)).toBe(true);
  await host.openQcow2('e', secret);
});

describe('a LUKS header is refused', () => {
  it.each<readonly [string, (image: Buffer) => void]>([
    ['CRYPTO header extension only expected with LUKS encryption method', (image) => image.writeUInt32BE(1, 32)],
    ['CRYPTO header extension size 15, but expected size 16', (image) => image.writeUInt32BE(15, 116)],
    [
      "Encryption header offset '1' is not a multiple of cluster size '65536'",
      (image) => image.writeBigUInt64BE(1n, 120),
    ],
    ['Request for data outside of extension header', (image) => image.writeBigUInt64BE(591n, 128)],
    ['Request for data outside of extension header', (image) => image.writeBigUInt64BE(5000n, 128)],
    ['Volume is not in LUKS format', (image) => image.writeBigUInt64BE(1n << 62n, 120)],
    ['Missing CRYPTO header for crypt method 2', (image) => image.writeUInt32BE(0, 112)],
  ])('%s', async (message, damage) => {
    host.image('e', { encryption: luks }, damage);
    expect(await host.refusal(optionsOf(secret))).toBe(message);
  });

  it.each<readonly [string, Record<string, OptionValue>]>([
    ['Invalid password, cannot unlock any keyslot', { 'encrypt.key-secret': 'wrong' }],
    ["No secret with id 'none'", { 'encrypt.key-secret': 'none' }],
    ["Parameter 'other' is unexpected", { ...secret, 'encrypt.other': 'x' }],
    ["Parameters 'key-secret.*' are unexpected", { 'encrypt.key-secret.x': 's' }],
    ['Cannot mix scalar and non-scalar keys', { ...secret, 'encrypt.key-secret.x': 's' }],
    ['Internal error: parameter key-secret invalid', { 'encrypt.key-secret': null }],
  ])('%s, for options', async (message, options) => {
    host.image('e', { encryption: luks });
    expect(await host.refusal(optionsOf(options))).toBe(message);
  });
});
