/** The life of a request: checks, padding, splitting, fallbacks, serialising. */
import { describe, expect, it } from 'vitest';
import { Errno } from '../../../src/util/errno.ts';
import type { Driver } from '../../../src/block/driver.ts';
import { BlockError } from '../../../src/block/error.ts';
import { Open, Req } from '../../../src/block/flags.ts';
import type { BlockNode, ChildLink } from '../../../src/block/graph/node.ts';
import { preadv } from '../../../src/block/request/read.ts';
import { pwriteZeroes, pwritev } from '../../../src/block/request/write.ts';
import { pdiscard } from '../../../src/block/request/discard.ts';
import { flush } from '../../../src/block/request/flush.ts';
import { truncate } from '../../../src/block/request/truncate.ts';
import type { Pending } from '../../../src/util/steps.ts';
import { type MemoryState, memoryNode, outcome } from '../../helpers/memory-node.ts';

const KIB = 1024;

describe('read', () => {
  it('goes to the driver as it is when it is aligned', async () => {
    const { loop, child, state } = memoryNode(8 * KIB);
    state.bytes.fill(7);
    const data = Buffer.alloc(KIB);
    expect(await outcome(loop, () => preadv(child, 100, data, 0))).toBeUndefined();
    expect(state.calls).toEqual(['read 1024@100']);
    expect(data.every((byte) => byte === 7)).toBe(true);
  });

  it('is widened to the alignment and cut back', async () => {
    const { loop, child, state } = memoryNode(8 * KIB, { requestAlignment: 512 });
    for (let i = 0; i < state.bytes.length; i++) state.bytes[i] = i % 251;
    const data = Buffer.alloc(1000);
    await outcome(loop, () => preadv(child, 700, data, 0));
    expect(state.calls).toEqual(['read 1536@512']);
    expect(data.equals(state.bytes.subarray(700, 1700))).toBe(true);
  });

  it('is cut into pieces of the largest transfer', async () => {
    const { loop, child, state } = memoryNode(8 * KIB, { requestAlignment: 512, maxTransfer: 2 * KIB });
    await outcome(loop, () => preadv(child, 0, Buffer.alloc(5 * KIB), 0));
    expect(state.calls).toEqual(['read 2048@0', 'read 2048@2048', 'read 1024@4096']);
  });

  it('gives zeroes behind the end, without asking the driver for them', async () => {
    const { loop, child, state } = memoryNode(KIB);
    state.bytes.fill(9);
    const data = Buffer.alloc(2 * KIB, 1);
    await outcome(loop, () => preadv(child, 512, data, 0));
    expect(state.calls).toEqual(['read 512@512']);
    expect(data.subarray(0, 512).every((byte) => byte === 9)).toBe(true);
    expect(data.subarray(512).every((byte) => byte === 0)).toBe(true);
  });

  it('of no bytes at an odd offset succeeds without reaching the driver', async () => {
    const { loop, child, state } = memoryNode(KIB, { requestAlignment: 512 });
    expect(await outcome(loop, () => preadv(child, 3, Buffer.alloc(0), 0))).toBeUndefined();
    expect(state.calls).toEqual([]);
  });

  it.each([
    ['EFBIG', 2 ** 53 - 512],
    ['EFBIG', 2 ** 63 - 2 ** 31],
    ['EIO', 2 ** 63 - 2 ** 29],
    ['EIO', -512],
  ] as const)('fails with %s at offset %d, where no node has anything', async (name, offset) => {
    const { loop, child } = memoryNode(KIB);
    for (const request of [preadv, pwritev]) {
      const error = await outcome(loop, () => request(child, offset, Buffer.alloc(512), 0));
      expect((error as BlockError).errno).toBe(Errno[name]);
    }
  });
});

describe('write', () => {
  it('fires pwritev and pwritev_done around the driver', async () => {
    const { loop, child, state } = memoryNode(8 * KIB);
    await outcome(loop, () => pwritev(child, 0, Buffer.alloc(512, 1), 0));
    expect(state.calls).toEqual(['event pwritev', 'write 512@0', 'event pwritev_done']);
  });

  it('with a ragged head and tail reads both edge blocks, each between its events', async () => {
    const { loop, child, state } = memoryNode(16 * KIB, { requestAlignment: 4 * KIB });
    state.bytes.fill(5);
    await outcome(loop, () => pwritev(child, 1 * KIB, Buffer.alloc(10 * KIB, 1), 0));
    expect(state.calls).toEqual([
      'event pwritev_rmw_head',
      'read 4096@0',
      'event pwritev_rmw_after_head',
      'event pwritev_rmw_tail',
      'read 4096@8192',
      'event pwritev_rmw_after_tail',
      'event pwritev',
      'write 12288@0',
      'event pwritev_done',
    ]);
    expect(state.bytes.subarray(0, KIB).every((byte) => byte === 5)).toBe(true);
    expect(state.bytes.subarray(KIB, 11 * KIB).every((byte) => byte === 1)).toBe(true);
    expect(state.bytes.subarray(11 * KIB).every((byte) => byte === 5)).toBe(true);
  });

  it('that fits in its two edge blocks reads them in one go, with the events of head and tail together', async () => {
    const { loop, child, state } = memoryNode(16 * KIB, { requestAlignment: 4 * KIB });
    await outcome(loop, () => pwritev(child, 1 * KIB, Buffer.alloc(6 * KIB, 1), 0));
    expect(state.calls.slice(0, 5)).toEqual([
      'event pwritev_rmw_head',
      'event pwritev_rmw_tail',
      'read 8192@0',
      'event pwritev_rmw_after_head',
      'event pwritev_rmw_after_tail',
    ]);
  });

  it('goes on with zeroes in the padding when the edge cannot be read, as qemu-io 7.2 does', async () => {
    const { loop, child, state } = memoryNode(8 * KIB, { requestAlignment: 4 * KIB });
    state.bytes.fill(5);
    state.failures.set('read', Errno.EIO);
    expect(await outcome(loop, () => pwritev(child, 0, Buffer.alloc(KIB, 1), 0))).toBeUndefined();
    expect(state.calls).toEqual([
      'event pwritev_rmw_tail',
      'read 4096@0',
      'event pwritev',
      'write 4096@0',
      'event pwritev_done',
    ]);
    expect(state.bytes.subarray(KIB, 4 * KIB).every((byte) => byte === 0)).toBe(true);
  });

  it('fires pwritev_done also when the driver fails, and hands its error on', async () => {
    const { loop, child, state } = memoryNode(8 * KIB);
    state.failures.set('write', Errno.ENOSPC);
    const error = await outcome(loop, () => pwritev(child, 0, Buffer.alloc(512), 0));
    expect((error as BlockError).errno).toBe(Errno.ENOSPC);
    expect(state.calls.at(-1)).toBe('event pwritev_done');
  });

  it('emulates FUA by one flush after the last piece when the driver has none', async () => {
    const { loop, child, state } = memoryNode(8 * KIB, { maxTransfer: 512 });
    await outcome(loop, () => pwritev(child, 0, Buffer.alloc(KIB), Req.FUA));
    expect(state.calls.filter((call) => !call.startsWith('event'))).toEqual([
      'write 512@0',
      'write 512@512',
      'flush_to_os',
    ]);
  });

  it('hands FUA to a driver that knows it', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    node.supportedWriteFlags = Req.FUA;
    await outcome(loop, () => pwritev(child, 0, Buffer.alloc(512), Req.FUA));
    expect(state.calls).toContain(`write 512@0 flags=${Req.FUA}`);
    expect(state.calls).not.toContain('flush_to_os');
  });

  it('is refused with EPERM on a read-only node before the driver sees it', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    node.openFlags &= ~Open.READ_WRITE;
    const error = await outcome(loop, () => pwritev(child, 0, Buffer.alloc(512), 0));
    expect((error as BlockError).errno).toBe(Errno.EPERM);
    expect(state.calls).toEqual(['event pwritev_done']);
  });

  it('makes a node longer that it reaches behind the end of', async () => {
    const { loop, node, child } = memoryNode(8 * KIB);
    node.totalSectors = 2;
    await outcome(loop, () => pwritev(child, KIB, Buffer.alloc(700), 0));
    expect(node.getLength()).toBe(2 * KIB);
  });

  it('does not make a node longer where it fails, as a discard never does', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    node.totalSectors = 2;
    state.failures.set('write', Errno.ENOSPC);
    await outcome(loop, () => pwritev(child, KIB, Buffer.alloc(KIB), 0));
    await outcome(loop, () => pdiscard(child, KIB, KIB));
    expect(state.calls).toContain('discard 1024@1024');
    expect(node.getLength()).toBe(KIB);
  });
});

describe('zero write', () => {
  it('zeroes edges as data and the middle by the driver when the request alignment asks for it', async () => {
    const { loop, child, state } = memoryNode(16 * KIB, { requestAlignment: 4 * KIB });
    state.bytes.fill(5);
    await outcome(loop, () => pwriteZeroes(child, 1 * KIB, 12 * KIB, 0));
    expect(state.calls.filter((call) => !call.startsWith('event pwritev_rmw'))).toEqual([
      'read 4096@0',
      'read 4096@12288',
      'event pwritev',
      'write 4096@0',
      'event pwritev_done',
      'event pwritev_zero',
      'zero 8192@4096',
      'event pwritev_done',
      'event pwritev',
      'write 4096@12288',
      'event pwritev_done',
    ]);
    expect(state.bytes.subarray(0, KIB).every((byte) => byte === 5)).toBe(true);
    expect(state.bytes.subarray(KIB, 13 * KIB).every((byte) => byte === 0)).toBe(true);
    expect(state.bytes.subarray(13 * KIB).every((byte) => byte === 5)).toBe(true);
  });

  it('is cut at the zero alignment and at the largest zero write', async () => {
    const { loop, child, state } = memoryNode(64 * KIB, { pwriteZeroesAlignment: 4 * KIB, maxPwriteZeroes: 8 * KIB });
    await outcome(loop, () => pwriteZeroes(child, 1 * KIB, 30 * KIB, 0));
    expect(state.calls.filter((call) => call.startsWith('zero'))).toEqual([
      'zero 3072@1024',
      'zero 8192@4096',
      'zero 8192@12288',
      'zero 8192@20480',
      'zero 3072@28672',
    ]);
  });

  it('falls back to data where the driver says ENOTSUP, and not with NO_FALLBACK', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    state.bytes.fill(5);
    state.failures.set('zero', Errno.ENOTSUP);
    expect(await outcome(loop, () => pwriteZeroes(child, 0, KIB, 0))).toBeUndefined();
    expect(state.calls).toContain('write 1024@0');
    expect(state.bytes.subarray(0, KIB).every((byte) => byte === 0)).toBe(true);

    node.supportedZeroFlags = Req.NO_FALLBACK;
    state.failures.set('zero', Errno.ENOTSUP);
    const error = await outcome(loop, () => pwriteZeroes(child, 0, KIB, Req.NO_FALLBACK));
    expect((error as BlockError).errno).toBe(Errno.ENOTSUP);
  });

  it('is refused where limits contradict each other, with a line that names them', async () => {
    const { loop, child } = memoryNode(8 * KIB, { pwriteZeroesAlignment: 4 * KIB, maxPwriteZeroes: 512 });
    const error = await outcome(loop, () => pwriteZeroes(child, 0, 4 * KIB, 0));
    expect((error as BlockError).errno).toBe(Errno.EINVAL);
  });
});

describe('discard', () => {
  it('reaches the driver in whole blocks with its ragged edges apart', async () => {
    const { loop, child, state } = memoryNode(64 * KIB, { pdiscardAlignment: 4 * KIB, maxPdiscard: 8 * KIB });
    await outcome(loop, () => pdiscard(child, 1 * KIB, 20 * KIB));
    expect(state.calls).toEqual(['discard 3072@1024', 'discard 8192@4096', 'discard 8192@12288', 'discard 1024@20480']);
  });

  it('does nothing where the node was opened without discards', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    node.openFlags &= ~Open.UNMAP;
    await outcome(loop, () => pdiscard(child, 0, 4 * KIB));
    expect(state.calls).toEqual([]);
  });
});

describe('flush', () => {
  it('reaches the disk only if something was written since the last one', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    await outcome(loop, () => flush(node));
    await outcome(loop, () => pwritev(child, 0, Buffer.alloc(512), 0));
    await outcome(loop, () => flush(node));
    await outcome(loop, () => flush(node));
    expect(state.calls.filter((call) => call.startsWith('flush'))).toEqual([
      'flush_to_os',
      'flush_to_os',
      'flush',
      'flush_to_os',
    ]);
  });

  it('is owed again after it has failed', async () => {
    const { loop, node, child, state } = memoryNode(8 * KIB);
    await outcome(loop, () => pwritev(child, 0, Buffer.alloc(512), 0));
    state.failures.set('flush', Errno.EIO);
    expect((await outcome(loop, () => flush(node))) instanceof BlockError).toBe(true);
    expect(await outcome(loop, () => flush(node))).toBeUndefined();
    expect(state.calls.filter((call) => call === 'flush')).toHaveLength(2);
  });
});

describe('overlapping requests', () => {
  it('a write waits for a read-modify-write that covers it, and then sees nothing lost', async () => {
    const { loop, child, state } = memoryNode(8 * KIB, { requestAlignment: 4 * KIB });
    state.gates.add('pwritev_rmw_after_tail');
    const order: string[] = [];
    const rmw = await loop.spawn(
      { operation: 'rmw' },
      () => pwritev(child, 0, Buffer.alloc(KIB, 1), 0),
      () => order.push('rmw'),
    );
    await loop.spawn(
      { operation: 'plain' },
      () => pwritev(child, 0, Buffer.alloc(4 * KIB, 2), 0),
      () => order.push('plain'),
    );
    expect(order).toEqual([]);
    expect([...loop.alive].map((coroutine) => coroutine.waitsFor?.kind)).toEqual(['breakpoint', 'overlap']);
    state.gates.clear();
    await loop.enter(rmw);
    while (await loop.poll()) continue;
    expect(order).toEqual(['rmw', 'plain']);
    expect(state.bytes.subarray(0, 4 * KIB).every((byte) => byte === 2)).toBe(true);
  });

  it('a read-modify-write waits for a write that is in flight already, and keeps what that writes', async () => {
    const { loop, child, state } = memoryNode(8 * KIB, { requestAlignment: 4 * KIB });
    state.gates.add('pwritev');
    const plain = await loop.spawn(
      { operation: 'plain' },
      () => pwritev(child, 0, Buffer.alloc(4 * KIB, 2), 0),
      () => {},
    );
    await loop.spawn(
      { operation: 'rmw' },
      () => pwritev(child, 0, Buffer.alloc(KIB, 1), 0),
      () => {},
    );
    expect([...loop.alive].map((coroutine) => coroutine.waitsFor?.kind)).toEqual(['breakpoint', 'overlap']);
    state.gates.clear();
    await loop.enter(plain);
    while (await loop.poll()) continue;
    expect([state.bytes[0], state.bytes[KIB], state.bytes[4 * KIB - 1]]).toEqual([1, 2, 2]);
  });

  it('reads and writes that do not serialise do not wait for each other', async () => {
    const { loop, child, state } = memoryNode(8 * KIB);
    state.gates.add('pwritev');
    const order: string[] = [];
    await loop.spawn(
      { operation: 'w' },
      () => pwritev(child, 0, Buffer.alloc(KIB, 1), 0),
      () => order.push('w'),
    );
    await loop.spawn(
      { operation: 'r' },
      () => preadv(child, 0, Buffer.alloc(KIB), 0),
      () => order.push('r'),
    );
    while (await loop.poll()) continue;
    expect(order).toEqual(['r']);
  });

  it('two read-modify-writes of neighbours in one block run one after the other', async () => {
    const { loop, child, state } = memoryNode(4 * KIB, { requestAlignment: 4 * KIB });
    state.gates.add('pwritev_rmw_after_tail');
    const first = await loop.spawn(
      { operation: '1' },
      () => pwritev(child, 0, Buffer.alloc(512, 1), 0),
      () => {},
    );
    await loop.spawn(
      { operation: '2' },
      () => pwritev(child, 512, Buffer.alloc(512, 2), 0),
      () => {},
    );
    state.gates.clear();
    await loop.enter(first);
    while (await loop.poll()) continue;
    expect([state.bytes[0], state.bytes[512], state.bytes[1024]]).toEqual([1, 2, 0]);
  });
});

describe('a node that is closed while a request waits', () => {
  /** Starts a request that waits for another one, and closes the node before it goes on. Its error, and the calls. */
  async function errorBehindClose(
    begin: (child: ChildLink) => Pending,
    overrides: Partial<Driver<MemoryState>> = {},
    offset = 0,
  ): Promise<{ errno: number | undefined; calls: readonly string[] }> {
    const { loop, node, child, state } = memoryNode(8 * KIB, { requestAlignment: 4 * KIB }, overrides);
    state.gates.add('pwritev_rmw_after_tail');
    const first = await loop.spawn(
      { operation: 'first' },
      () => pwritev(child, offset, Buffer.alloc(512, 1), 0),
      () => {},
    );
    let errno: number | undefined;
    await loop.spawn(
      { operation: 'second' },
      () => begin(child),
      (error) => {
        errno = error instanceof BlockError ? error.errno : 0;
      },
    );
    node.closed = true;
    await loop.enter(first);
    while (await loop.poll()) continue;
    return { errno, calls: state.calls.filter((call) => !call.startsWith('event') && !call.startsWith('read 4096@')) };
  }

  const closed = { errno: Errno.ENOMEDIUM, calls: [] };

  it('refuses a read', async () => {
    expect(await errorBehindClose((child) => preadv(child, 0, Buffer.alloc(8 * KIB), 0))).toEqual(closed);
  });

  it('refuses a write', async () => {
    expect(await errorBehindClose((child) => pwritev(child, 0, Buffer.alloc(4 * KIB), 0))).toEqual(closed);
  });

  it('refuses a zero write, whatever its flags', async () => {
    expect(await errorBehindClose((child) => pwriteZeroes(child, 0, 4 * KIB, 0))).toEqual(closed);
    expect(await errorBehindClose((child) => pwriteZeroes(child, 0, 4 * KIB, Req.NO_FALLBACK))).toEqual(closed);
  });

  it('refuses a compressed write, also where the driver has none', async () => {
    const compress = (child: ChildLink) => pwritev(child, 0, Buffer.alloc(4 * KIB), Req.WRITE_COMPRESSED);
    expect(await errorBehindClose(compress)).toEqual(closed);
    const pwritevCompressed = (node: BlockNode<MemoryState>): undefined => {
      node.state.calls.push('compressed');
    };
    expect(await errorBehindClose(compress, { pwritevCompressed })).toEqual(closed);
  });

  it('refuses a discard', async () => {
    expect(await errorBehindClose((child) => pdiscard(child, 0, 4 * KIB))).toEqual(closed);
  });

  it('refuses to make it longer', async () => {
    const driverTruncate = (node: BlockNode<MemoryState>): undefined => {
      node.state.calls.push('truncate');
    };
    const grow = (child: ChildLink): Pending => truncate(child, 16 * KIB);
    expect(await errorBehindClose(grow, { truncate: driverTruncate }, 8 * KIB)).toEqual(closed);
  });
});
