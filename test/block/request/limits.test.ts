/** The limits of a node: a promise to its driver, and where they do not fit each other, a request that is refused. */
import { describe, expect, it } from 'vitest';
import type { Driver } from '../../../src/block/driver.ts';
import { BlockError } from '../../../src/block/error.ts';
import { Req } from '../../../src/block/flags.ts';
import type { Limits } from '../../../src/block/graph/node.ts';
import {
  driverPdiscard,
  driverPreadv,
  driverPwritev,
  driverPwritevCompressed,
  driverPwriteZeroes,
} from '../../../src/block/request/driver-io.ts';
import { peek } from '../../../src/block/request/peek.ts';
import { preadv } from '../../../src/block/request/read.ts';
import { pwriteZeroes } from '../../../src/block/request/write.ts';
import { Errno } from '../../../src/util/errno.ts';
import { run } from '../../../src/util/steps.ts';
import { type MemoryNode, type MemoryState, memoryNode, outcome } from '../../helpers/memory-node.ts';

const KIB = 1024;

/** The largest transfer is not made of whole blocks, as where blkdebug sets only one of the two limits. */
const ragged: Partial<Limits> = { requestAlignment: 4 * KIB, maxTransfer: 6 * KIB };
/** Not even one block goes through. */
const narrow: Partial<Limits> = { requestAlignment: 4 * KIB, maxTransfer: 1536 };

const cannotZero: Partial<Driver<MemoryState>> = {
  pwriteZeroes() {
    throw new BlockError(Errno.ENOTSUP);
  },
};

/** A node that copies on read and has nothing of its own, in runs of `runBytes`. */
function copyingNode(limits: Partial<Limits>, runBytes: number, isMixed = false): MemoryNode {
  const found = memoryNode(64 * KIB, limits, {
    blockStatus(_node, _wantZero, offset, bytes) {
      const isAllocated = isMixed && (offset / runBytes) % 2 === 0;
      return { flags: isAllocated ? 1 : 0, bytes: Math.min(bytes, runBytes), map: 0, file: null };
    },
  });
  found.node.copyOnRead = 1;
  found.state.bytes.fill(7);
  return found;
}

function dataCalls({ state }: MemoryNode): string[] {
  return state.calls.filter((call) => /^(?:read|write|zero)/.test(call));
}

describe('what a driver is given', () => {
  const strict: Partial<Limits> = {
    requestAlignment: 4 * KIB,
    maxTransfer: 4 * KIB,
    maxPwriteZeroes: 8 * KIB,
    maxPdiscard: 8 * KIB,
  };
  const { node } = memoryNode(64 * KIB, strict);
  const block = Buffer.alloc(4 * KIB);
  const twoBlocks = Buffer.alloc(8 * KIB);

  it.each([
    ['a read', () => driverPreadv(node, 512, block, 0)],
    ['a write', () => driverPwritev(node, 0, block.subarray(512), 0)],
    ['a compressed write', () => driverPwritevCompressed(node, 512, block)],
    ['a zero write', () => driverPwriteZeroes(node, 512, 4 * KIB, 0)],
  ])('of %s is aligned, or the program is wrong', (_name, request) => {
    expect(request).toThrow('a request to a driver is aligned');
  });

  it.each([
    ['a read', 'its limits', () => driverPreadv(node, 0, twoBlocks, 0)],
    ['a write', 'its limits', () => driverPwritev(node, 0, twoBlocks, 0)],
    ['a zero write', 'its limits', () => driverPwriteZeroes(node, 0, 12 * KIB, 0)],
    ['a discard', 'max-discard', () => driverPdiscard(node, 0, 12 * KIB)],
  ])('of %s is within %s, or the program is wrong', (_name, limit, request) => {
    expect(request).toThrow(`within ${limit}`);
  });

  it('of a read has no flags that the driver does not know', () => {
    expect(() => driverPreadv(node, 0, block, Req.PREFETCH)).toThrow('the flags of a read');
  });
});

describe('a largest transfer that is not made of whole blocks', () => {
  it('cuts a zero write that falls back to data into whole blocks', async () => {
    const found = memoryNode(64 * KIB, ragged, cannotZero);
    found.state.bytes.fill(7);
    expect(await outcome(found.loop, () => pwriteZeroes(found.child, 0, 12 * KIB, 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['write 4096@0', 'write 4096@4096', 'write 4096@8192']);
  });

  it('cuts the beginning of a zero write, up to the alignment of zeroes, into whole blocks', async () => {
    const found = memoryNode(64 * KIB, { ...ragged, pwriteZeroesAlignment: 32 * KIB });
    expect(await outcome(found.loop, () => pwriteZeroes(found.child, 4 * KIB, 12 * KIB, 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['zero 4096@4096', 'zero 4096@8192', 'zero 4096@12288']);
  });

  it('cuts a copy on read into whole blocks', async () => {
    const found = copyingNode(ragged, 64 * KIB);
    const data = Buffer.alloc(8 * KIB);
    expect(await outcome(found.loop, () => preadv(found.child, 4 * KIB, data, 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['read 4096@4096', 'write 4096@4096', 'read 4096@8192', 'write 4096@8192']);
    expect(data.every((byte) => byte === 7)).toBe(true);
  });

  it('cuts a look into whole blocks', async () => {
    const calls: string[] = [];
    const { node, loop } = memoryNode(64 * KIB, ragged, {
      peek(_node, offset, data) {
        calls.push(`${data.length}@${offset}`);
        return undefined;
      },
    });
    expect(await outcome(loop, () => run(peek(node, 100, Buffer.alloc(5 * KIB))))).toBeUndefined();
    expect(calls).toEqual(['4096@0', '4096@4096']);
  });
});

describe('a largest transfer below one block', () => {
  const refused = { errno: Errno.EINVAL };

  it('refuses a zero write that falls back to data', async () => {
    const { loop, child, state } = memoryNode(64 * KIB, narrow, cannotZero);
    expect(await outcome(loop, () => pwriteZeroes(child, 0, 4 * KIB, 0))).toMatchObject(refused);
    expect(state.calls.some((call) => call.startsWith('write'))).toBe(false);
  });

  it('lets a zero write through that the driver does in one go', async () => {
    const found = memoryNode(64 * KIB, narrow);
    expect(await outcome(found.loop, () => pwriteZeroes(found.child, 0, 8 * KIB, 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['zero 8192@0']);
  });

  it('refuses a copy on read', async () => {
    const { child, loop } = copyingNode(narrow, 64 * KIB);
    expect(await outcome(loop, () => preadv(child, 0, Buffer.alloc(4 * KIB), 0))).toMatchObject(refused);
  });

  it('refuses a look, instead of looking for ever', async () => {
    const { node, loop } = memoryNode(64 * KIB, narrow, { peek: () => undefined });
    expect(await outcome(loop, () => run(peek(node, 0, Buffer.alloc(4 * KIB))))).toMatchObject(refused);
  });
});

describe('blocks longer than a bounce buffer', () => {
  const long: Partial<Limits> = { requestAlignment: 32 * 1024 * KIB };

  it('are zeroed as data one by one', async () => {
    const found = memoryNode(64 * 1024 * KIB, long, cannotZero);
    expect(await outcome(found.loop, () => pwriteZeroes(found.child, 0, 64 * 1024 * KIB, 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['write 33554432@0', 'write 33554432@33554432']);
  });
});

describe('runs of a node below that end within a block', () => {
  it('are copied with the block that they end in', async () => {
    const found = copyingNode({ requestAlignment: 4 * KIB }, KIB);
    const data = Buffer.alloc(8 * KIB);
    expect(await outcome(found.loop, () => preadv(found.child, 0, data, 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['read 4096@0', 'write 4096@0', 'read 4096@4096', 'write 4096@4096']);
    expect(data.every((byte) => byte === 7)).toBe(true);
  });

  it('are copied, too, where the block begins with what the node has', async () => {
    const found = copyingNode({ requestAlignment: 4 * KIB }, KIB, true);
    expect(await outcome(found.loop, () => preadv(found.child, 0, Buffer.alloc(4 * KIB), 0))).toBeUndefined();
    expect(dataCalls(found)).toEqual(['read 4096@0', 'write 4096@0']);
  });
});
