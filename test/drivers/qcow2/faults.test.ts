/** Faults below qcow2: what its metadata makes of writes that are lost, torn, or never flushed. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { breakpointPort } from '../../../src/block/debug/port.ts';
import type { RuleKind } from '../../../src/block/debug/rules.ts';
import { Errno } from '../../../src/util/errno.ts';
import { Qcow2Host } from './qcow2-host.ts';

let host: Qcow2Host;
let image: BlockBackend;
beforeEach(async () => {
  host = new Qcow2Host();
  host.image('x', { lengthBytes: 1 << 20 });
  image = await host.openDebug('x');
});
afterEach(() => host.remove());

function add(kind: RuleKind, words: Record<string, string>): number {
  return breakpointPort(image.top).rules.add(kind, new Map(Object.entries(words)));
}

function write(value: number): Promise<number> {
  return host.errno(() => image.pwrite(0, Buffer.alloc(4096, value), 0));
}

/** The first byte after the image was closed and opened again. */
async function firstByteAfterwards(): Promise<number> {
  breakpointPort(image.top).rules.disable([1]);
  await host.close(image);
  image = await host.openDebug('x');
  const data = Buffer.alloc(512);
  expect(await host.errno(() => image.pread(0, data))).toBe(0);
  return data[0] ?? 0;
}

it('data that is dropped reads as before, and the image is sound', async () => {
  await write(1);
  add('drop', { event: 'write_aio' });
  expect(await write(2)).toBe(0);
  expect(await firstByteAfterwards()).toBe(1);
  expect(await host.check(image)).toMatchObject({ corruptions: 0 });
});

it('a table entry that is dropped loses what it leads to', async () => {
  // The table exists, so that only its entry is new.
  await host.errno(() => image.pwrite(1 << 19, Buffer.alloc(512, 3), 0));
  await host.errno(() => image.flush());
  add('drop', { event: 'l2_update', when: '1' });
  expect([await write(1), await host.errno(() => image.flush())]).toEqual([0, 0]);
  expect(await firstByteAfterwards()).toBe(0);
});

it('a failed flush, and a lie after it, lose nothing by themselves', async () => {
  await write(2);
  add('fsync-once', {});
  await write(1);
  const flushes = [await host.errno(() => image.flush()), await host.errno(() => image.flush())];
  expect(flushes).toEqual([Errno.EIO, 0]);
  expect(await firstByteAfterwards()).toBe(1);
});
