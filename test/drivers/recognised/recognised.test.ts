/** Formats that are recognised and refused by name. */
import { describe, expect, it } from 'vitest';
import { recognisedFormats } from '../../../src/drivers/recognised/driver.ts';

function at(parts: Record<number, string | number>): Buffer {
  const head = Buffer.alloc(512);
  for (const [offset, value] of Object.entries(parts)) {
    if (typeof value === 'number') head.writeUInt32LE(value, Number(offset));
    else head.write(value, Number(offset), 'latin1');
  }
  return head;
}

function scores(head: Buffer, filename = ''): Record<string, number> {
  const positive = recognisedFormats
    .map((driver): [string, number] => [driver.formatName, driver.probe?.(head, filename) ?? 0])
    .filter(([, score]) => score > 0);
  return Object.fromEntries(positive);
}

describe('an image that begins as', () => {
  it.each([
    ['bochs', at({ 0: 'Bochs Virtual HD Image', 32: 'Redolog', 48: 'Growing', 64: 0x20000 })],
    ['parallels', at({ 0: 'WithouFreSpacExt', 16: 2 })],
    ['vdi', at({ 64: 0xbeda107f })],
    ['vhdx', at({ 0: 'vhdxfile' })],
    ['vpc', at({ 0: 'conectix' })],
  ])('%s is that, and nothing else', (name, head) => {
    expect(scores(head)).toEqual({ [name]: 100 });
  });

  it.each([
    ['nothing', at({})],
    ['a newer parallels', at({ 0: 'WithouFreSpacExt', 16: 3 })],
    ['qcow2', at({ 0: 'QFI\xfb\0\0\0\x03' })],
    ['bochs of another kind', at({ 0: 'Bochs Virtual HD Image', 32: 'Redolog', 48: 'Undoable', 64: 0x20000 })],
  ])('%s is none of them', (_name, head) => {
    expect(scores(head)).toEqual({});
  });

  it('is taken for a dmg by its name alone, and weakly', () => {
    expect(scores(at({}), 'disk.dmg')).toEqual({ dmg: 2 });
  });
});

it('opening one says so', async () => {
  const vdi = recognisedFormats.find((driver) => driver.formatName === 'vdi');
  await expect(vdi?.open(undefined as never, undefined as never, 0)).rejects.toThrow(
    "blkscope recognises the format 'vdi' but cannot open it",
  );
});
