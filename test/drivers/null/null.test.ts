/** The null drivers: sizes, latencies, zeroes. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { Open, Req, Status } from '../../../src/block/flags.ts';
import { HostImages } from '../../helpers/host-images.ts';
import { FakeClock } from '../../helpers/shell.ts';

let host: HostImages;

beforeEach(() => {
  host = new HostImages();
});

afterEach(() => host.remove());

describe.each(['null-co', 'null-aio'])('%s', (driver) => {
  it('is 1 GiB of nothing: writes are lost, reads leave the buffer alone', async () => {
    const image = await host.open({ driver });
    expect(image.getLength()).toBe(2 ** 30);
    expect(await host.write(image, 4096, 512, 7)).toBe(0);
    expect(await host.read(image, 4096, 512)).toEqual(Buffer.alloc(512, 0xee));
    expect(await host.errno(() => image.flush())).toBe(0);
    expect(await host.errno(() => image.pwriteZeroes(0, 4096, 0))).toBe(0);
    expect(image.top.driver.getAllocatedBytes?.(image.top)).toBe(0);
  });

  it('reads zeroes with read-zeroes, and says that it does', async () => {
    const image = await host.open({ driver, size: '1000', 'read-zeroes': 'on' });
    expect(image.getLength()).toBe(1024);
    expect(await host.read(image, 0, 512)).toEqual(Buffer.alloc(512));
    const status = await image.top.driver.blockStatus?.(image.top, true, 0, 512);
    expect(status).toMatchObject({ flags: Status.ZERO | Status.OFFSET_VALID, bytes: 512, map: 0 });
  });

  it('has one file name', async () => {
    const image = await host.open({ driver: 'raw' }, Open.READ_WRITE, `${driver}://`);
    expect(image.top.file?.node.driver.formatName).toBe(driver);
    expect(await host.refusal({ driver: 'raw' }, 0, `${driver}://x`)).toBe(
      `The only allowed filename for this driver is '${driver}://'`,
    );
  });

  it('refuses a latency below zero and a length beyond what numbers hold', async () => {
    expect(await host.refusal({ driver, 'latency-ns': '-1' })).toBe('latency-ns is invalid');
    expect(await host.refusal({ driver, size: '8P' })).toMatch(
      /^size 9007199254740992 is beyond 9007199254740480 bytes/,
    );
    expect(await host.refusal({ driver, size: 'x' })).toMatch(/^Parameter 'size' expects/);
  });

  it('takes FUA as done', async () => {
    const image = await host.open({ driver });
    expect(image.top.supportedWriteFlags & Req.FUA).toBe(Req.FUA);
  });
});

/** In which order writes begin and end. */
async function orderOfEnds(image: BlockBackend, names: readonly string[], loop = host.loop): Promise<string[]> {
  const ended: string[] = [];
  for (const name of names) {
    await loop.spawn(
      { operation: name },
      () => image.pwrite(0, Buffer.alloc(512), 0),
      () => ended.push(name),
    );
    ended.push(`${name} began`);
  }
  while (await loop.poll()) {
    // until all have ended
  }
  return ended;
}

describe('the end of a request', () => {
  it('needs no promise with null-co', async () => {
    const image = await host.open({ driver: 'null-co' });
    let pending: unknown = 'none';
    await host.errno(() => {
      pending = image.pwrite(0, Buffer.alloc(512), 0);
      return undefined;
    });
    expect(pending).toBeUndefined();
  });

  it('comes once the requests have begun, also where it needs no time', async () => {
    for (const driver of ['null-co', 'null-aio']) {
      const image = await host.open({ driver });
      const order = await orderOfEnds(image, ['a', 'b']);
      expect(order.slice(0, 2)).toEqual(['a began', 'b began']);
      // The newest first: the order of the loop's bottom halves.
      expect(order.slice(2)).toEqual(['b', 'a']);
    }
  });

  it('comes after latency-ns of the clock', async () => {
    const clock = new FakeClock();
    const slow = new HostImages({ clock });
    onTestFinished(() => slow.remove());
    const image = await slow.open({ driver: 'null-co', 'latency-ns': '5000000000' });
    expect(await orderOfEnds(image, ['a'], slow.loop)).toEqual(['a began', 'a']);
    expect(clock.now).toBe(5e9);
  });
});
