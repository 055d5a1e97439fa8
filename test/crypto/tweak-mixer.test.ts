/** The tweaks of XTS: the same in WebAssembly and in JavaScript. sector-cipher.test.ts holds them to OpenSSL. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { BATCH_BYTES, mixerInScript, mixerInWasm, type TweakMixer } from '../../src/crypto/tweak-mixer.ts';

/** Bytes that look random, from a number. */
function bytes(seed: number, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let index = 0; index * 32 < length; index++) {
    parts.push(createHash('sha256').update(`${seed} ${index}`).digest());
  }
  return Buffer.concat(parts).subarray(0, length);
}

function mixed(mixer: TweakMixer, sectors: number): { readonly once: Buffer; readonly twice: Buffer } {
  mixer.batch.set(bytes(1, BATCH_BYTES));
  mixer.mix(sectors, bytes(2, sectors * 16));
  const once = Buffer.from(mixer.batch);
  mixer.mixAgain(sectors);
  return { once, twice: Buffer.from(mixer.batch) };
}

it.each([1, 2, 77, 128])(
  'of %i sectors are the same in both ways, and go away when they are mixed again',
  (sectors) => {
    const wasm = mixed(mixerInWasm(), sectors);
    const script = mixed(mixerInScript(), sectors);
    expect(wasm.once.equals(script.once)).toBe(true);
    expect(wasm.once.equals(wasm.twice)).toBe(false);
    expect(wasm.twice.equals(bytes(1, BATCH_BYTES))).toBe(true);
    expect(script.twice.equals(wasm.twice)).toBe(true);
  },
);
