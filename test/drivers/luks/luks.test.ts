/** The luks driver over files: what is written, what others see of it, lengths, and refusals. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UserObject } from '../../../src/block/user-object.ts';
import type { OptionValue } from '../../../src/block/options/options.ts';
import { HostImages } from '../../helpers/host-images.ts';
import { makeVolume } from '../../helpers/luks-volume.js';

const KIB = 1024;
const secrets = (text: string): Map<string, UserObject> =>
  new Map([['s', { kind: 'secret', content: Buffer.from(text) }]]);

let host: HostImages;
beforeEach(() => {
  host = new HostImages({ objects: secrets('hunter2') });
});
afterEach(() => host.remove());

/** A volume with so many bytes of data behind its header. */
function volume(bytes = 64 * KIB): number {
  const header = makeVolume();
  writeFileSync(host.path('v'), Buffer.concat([header, Buffer.alloc(bytes)]));
  return header.length;
}

function options(more: Record<string, OptionValue> = {}): Record<string, OptionValue> {
  return { driver: 'luks', 'key-secret': 's', 'file.driver': 'file', 'file.filename': host.path('v'), ...more };
}

it('gives back what was written, and leaves none of it in the file', async () => {
  const payload = volume(3 << 20);
  const image = await host.open(options());
  expect(image.getLength()).toBe(3 << 20);
  expect(await host.write(image, 1000, 2_500_000, 0x5a)).toBe(0);
  expect((await host.read(image, 1000, 2_500_000)).every((byte) => byte === 0x5a)).toBe(true);
  await host.close(image);
  const file = host.bytes('v');
  expect(file.subarray(0, payload).equals(makeVolume())).toBe(true);
  expect(file.includes(Buffer.alloc(16, 0x5a))).toBe(false);
  const again = await host.open(options());
  expect((await host.read(again, 1000, 2_500_000)).every((byte) => byte === 0x5a)).toBe(true);
});

it('is recognised without its name', async () => {
  volume();
  const image = await host.open({ 'key-secret': 's', 'file.filename': host.path('v') });
  expect(image.top.driver.formatName).toBe('luks');
});

it('is as long as the file behind its header, and is made longer there', async () => {
  const payload = volume();
  const image = await host.open(options());
  expect(await host.errno(() => image.truncate(128 * KIB, { exact: false }))).toBe(0);
  expect(image.getLength()).toBe(128 * KIB);
  expect(host.bytes('v').length).toBe(payload + 128 * KIB);
});

describe('an open is refused', () => {
  it.each<readonly [string, Record<string, OptionValue>]>([
    ["Parameter 'key-secret' is required for cipher", { 'key-secret': null }],
    ["No secret with id 't'", { 'key-secret': 't' }],
    ["Block format 'luks' does not support the option 'cipher'", { cipher: 'aes' }],
  ])('%s', async (message, given) => {
    volume();
    expect(await host.refusal(options(given))).toBe(message);
  });

  it.each([
    ['with a wrong passphrase', 'hunter3', 'Invalid password, cannot unlock any keyslot'],
    ['with a passphrase that holds a NUL', 'hunter2\0', 'Data from secret s is not valid UTF-8'],
  ])('%s', async (_what, text, message) => {
    await host.remove();
    host = new HostImages({ objects: secrets(text) });
    volume();
    expect(await host.refusal(options())).toBe(message);
  });

  it('of an empty file', async () => {
    writeFileSync(host.path('v'), '');
    expect(await host.refusal(options())).toBe('Volume is not in LUKS format');
  });
});
