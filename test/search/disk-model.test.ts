/** The model of a disk: what its sectors may hold after writes, failures, flushes and losses of power. */
import { describe, expect, it } from 'vitest';
import type { Content } from '../../src/search/model/content.ts';
import { DiskModel } from '../../src/search/model/disk-model.ts';

const fill = (value: number): Content => ({ kind: 'fill', value });
const bytes = (value: number, count = 512): Buffer => Buffer.alloc(count, value);

/** The values of a sector that `compare` accepts. */
function accepted(model: DiskModel, isFlushed: boolean, offset = 0): number[] {
  return [0, 1, 2, 3, 4].filter((value) => model.compare(offset, bytes(value), 512, isFlushed) === null);
}

describe('a sector', () => {
  it('holds the last acknowledged write; before a flush, or one before it after a loss of power', () => {
    const model = new DiskModel(4096, fill(0));
    model.endWrite(model.beginWrite(0, 512, fill(1)), true);
    expect(accepted(model, true)).toEqual([1]);
    expect(accepted(model, false)).toEqual([0, 1]);
    model.endFlush(model.beginFlush());
    model.endWrite(model.beginWrite(0, 512, fill(2)), true);
    expect(accepted(model, true)).toEqual([2]);
    expect(accepted(model, false)).toEqual([1, 2]);
    model.endWrite(model.beginWrite(0, 512, fill(3), true), true);
    expect(accepted(model, false)).toEqual([3]);
  });

  it('is not made certain by a flush that began before the write had ended', () => {
    const model = new DiskModel(4096, fill(0));
    const write = model.beginWrite(0, 512, fill(1));
    const flush = model.beginFlush();
    model.endWrite(write, true);
    model.endFlush(flush);
    expect(accepted(model, false)).toEqual([0, 1]);
  });

  it('may hold what a failed write was to bring, or what was there, until another one succeeds', () => {
    const model = new DiskModel(4096, fill(0));
    model.endWrite(model.beginWrite(0, 512, fill(1)), false);
    expect(accepted(model, true)).toEqual([0, 1]);
    model.endWrite(model.beginWrite(0, 512, fill(2)), true);
    expect(accepted(model, true)).toEqual([2]);
  });

  it('holds either of two writes that were in flight together', () => {
    const model = new DiskModel(4096, fill(0));
    const first = model.beginWrite(0, 512, fill(1));
    const second = model.beginWrite(0, 512, fill(2));
    model.endWrite(first, true);
    model.endWrite(second, true);
    expect(accepted(model, true)).toEqual([1, 2]);
  });

  it('is apart from its neighbours, also within a write', () => {
    const model = new DiskModel(4096, fill(0));
    model.endWrite(model.beginWrite(0, 1536, fill(1)), true);
    model.endWrite(model.beginWrite(512, 512, fill(2)), true);
    expect([0, 512, 1024, 1536].map((offset) => accepted(model, true, offset))).toEqual([[1], [2], [1], [0]]);
    expect(model.compare(0, Buffer.concat([bytes(1), bytes(2), bytes(1), bytes(0)]), 2048, true)).toBeNull();
    expect(model.compare(0, null, 4096, true)?.text).toBe('the sector at 0 holds 0x00; allowed: 0x01');
  });

  it('is not torn, and what is found in it is told from what was there once', () => {
    const model = new DiskModel(4096, fill(0));
    model.endWrite(model.beginWrite(0, 512, fill(1), true), true);
    const write = model.beginWrite(0, 512, fill(2));
    model.endWrite(write, false);
    const torn = Buffer.concat([bytes(1, 256), bytes(2, 256)]);
    expect(model.compare(0, torn, 512, true)).toMatchObject({ isPast: false, text: expect.stringMatching(/several/) });
    expect(model.compare(0, bytes(0), 512, true)).toMatchObject({ isPast: true });
  });
});

it('a read may return what was there at any time while it was in flight', () => {
  const model = new DiskModel(4096, fill(0));
  const read = model.beginRead(0, 1024);
  model.endWrite(model.beginWrite(0, 512, fill(1)), true);
  expect(model.endRead(read, Buffer.concat([bytes(0), bytes(0)]))).toBeNull();
  const later = model.beginRead(0, 1024);
  expect(model.endRead(later, Buffer.concat([bytes(0), bytes(0)]))?.offset).toBe(0);
});

it('bytes that are all different are compared one by one', () => {
  const model = new DiskModel(4096, fill(0));
  const data = Buffer.from(Array.from({ length: 700 }, (_, index) => index % 251));
  model.endWrite(model.beginWrite(100, 700, { kind: 'data', data, offset: 100 }), true);
  const whole = Buffer.concat([bytes(0, 100), data, bytes(0, 224)]);
  expect(model.compare(0, whole, 1024, true)).toBeNull();
  whole[650] = 99;
  expect(model.compare(0, whole, 1024, true)?.offset).toBe(512);
});
