/** Block status through a chain of nodes. */
import { describe, expect, it } from 'vitest';
import type { ChildLink } from '../../../src/block/graph/node.ts';
import { Perm, Role, Status } from '../../../src/block/flags.ts';
import { blockStatus, blockStatusAbove, forgetDataRange, isAllocated } from '../../../src/block/request/status.ts';
import { preadv } from '../../../src/block/request/read.ts';
import { memoryNode, outcome, type MemoryNode } from '../../helpers/memory-node.ts';

const KIB = 1024;

/** Puts `below` under `top` as its backing file. */
function stack(top: MemoryNode, below: MemoryNode): void {
  const link: ChildLink = {
    name: 'backing',
    parent: { description: 'test', node: top.node },
    node: below.node,
    role: Role.COW,
    perm: Perm.CONSISTENT_READ,
    shared: Perm.ALL,
  };
  top.node.children.unshift(link);
  top.node.backing = link;
}

/** A format whose first `allocatedBytes` are its own, the rest its backing file's. */
function overlay(bytes: number, allocatedBytes: number): MemoryNode {
  return memoryNode(
    bytes,
    {},
    {
      supportsBacking: true,
      blockStatus: async (_node, _wantZero, offset, wanted) =>
        offset < allocatedBytes
          ? { flags: Status.DATA, bytes: Math.min(wanted, allocatedBytes - offset), map: 0, file: null }
          : { flags: 0, bytes: wanted, map: 0, file: null },
    },
  );
}

describe('block status', () => {
  it('of a driver that cannot say is data, mapped one to one for a protocol, up to the end', async () => {
    const { node } = memoryNode(8 * KIB);
    expect(await blockStatus(node, true, KIB, 100 * KIB)).toEqual({
      flags: Status.DATA | Status.ALLOCATED | Status.OFFSET_VALID | Status.EOF,
      bytes: 7 * KIB,
      map: KIB,
      file: node,
    });
  });

  it('at and behind the end is nothing but the end', async () => {
    const { node } = memoryNode(8 * KIB);
    expect(await blockStatus(node, true, 8 * KIB, KIB)).toMatchObject({ flags: Status.EOF, bytes: 0 });
  });

  it('asks the driver in whole blocks and cuts the answer to what was asked', async () => {
    const asked: number[][] = [];
    const { node } = memoryNode(
      8 * KIB,
      { requestAlignment: 4 * KIB },
      {
        blockStatus: async (self, _wantZero, offset, bytes) => {
          asked.push([offset, bytes]);
          return { flags: Status.DATA | Status.OFFSET_VALID, bytes: 4 * KIB, map: 100 + offset, file: self };
        },
      },
    );
    expect(await blockStatus(node, false, 1 * KIB, 5 * KIB)).toMatchObject({ bytes: 3 * KIB, map: 100 + KIB });
    expect(asked).toEqual([[0, 8 * KIB]]);
  });

  it('of a protocol remembers a run of data until something overlaps it', async () => {
    let calls = 0;
    const { node } = memoryNode(
      64 * KIB,
      {},
      {
        blockStatus: async (self, _wantZero, offset, bytes) => {
          calls += 1;
          return { flags: Status.DATA | Status.OFFSET_VALID, bytes, map: offset, file: self };
        },
      },
    );
    await blockStatus(node, true, 0, 32 * KIB);
    await blockStatus(node, true, 4 * KIB, KIB);
    expect(calls).toBe(1);
    forgetDataRange(node, 31 * KIB, KIB);
    await blockStatus(node, true, 4 * KIB, KIB);
    expect(calls).toBe(2);
  });

  it('is found in the backing file where the overlay has nothing', async () => {
    const top = overlay(16 * KIB, 4 * KIB);
    const below = memoryNode(16 * KIB);
    stack(top, below);
    expect(
      await blockStatusAbove(top.node, { base: null, includeBase: false, wantZero: true }, 0, 16 * KIB),
    ).toMatchObject({
      depth: 1,
      bytes: 4 * KIB,
    });
    expect(
      await blockStatusAbove(top.node, { base: null, includeBase: false, wantZero: true }, 4 * KIB, 16 * KIB),
    ).toMatchObject({
      depth: 2,
      bytes: 12 * KIB,
      flags: Status.DATA | Status.ALLOCATED | Status.OFFSET_VALID | Status.EOF,
    });
  });

  it('behind the end of a short backing file is zero, as if that file had it', async () => {
    const top = overlay(16 * KIB, 0);
    const below = memoryNode(8 * KIB);
    stack(top, below);
    expect(
      await blockStatusAbove(top.node, { base: null, includeBase: false, wantZero: false }, 8 * KIB, 8 * KIB),
    ).toMatchObject({
      bytes: 8 * KIB,
      flags: Status.ZERO | Status.ALLOCATED | Status.EOF,
    });
  });

  it('tells what a node itself has', async () => {
    const top = overlay(16 * KIB, 4 * KIB);
    stack(top, memoryNode(16 * KIB));
    expect(await isAllocated(top.node, 0, 16 * KIB)).toEqual({ allocated: true, bytes: 4 * KIB });
    expect(await isAllocated(top.node, 4 * KIB, 16 * KIB)).toEqual({ allocated: false, bytes: 12 * KIB });
  });
});

describe('copy on read', () => {
  it('writes what it had to fetch, after the event cor_write, and nothing that is there already', async () => {
    const top = overlay(16 * KIB, 4 * KIB);
    const { loop, node, child, state } = top;
    stack(top, memoryNode(16 * KIB));
    state.bytes.fill(3);
    node.copyOnRead = 1;
    const data = Buffer.alloc(8 * KIB);
    expect(await outcome(loop, () => preadv(child, 0, data, 0))).toBeUndefined();
    expect(data.every((byte) => byte === 3)).toBe(true);
    expect(state.calls).toEqual(['read 4096@0', 'read 4096@4096', 'event cor_write', 'write 4096@4096']);
  });
});
