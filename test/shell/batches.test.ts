/** Batches of asynchronous requests: they go on between lines, and hold little memory. */
import { describe, expect, it } from 'vitest';
import type { BufferPool } from '../../src/shell/data/buffer-pool.ts';
import { runLines, runList } from '../../src/shell/script.ts';
import { testShell } from '../helpers/shell.ts';

async function outputOf(...lines: string[]): Promise<string> {
  const { session, out } = await testShell();
  let next = 0;
  await runLines(session.shell, { next: () => lines[next++] ?? null }, null);
  return out();
}

const wrote = (offset: number) => `wrote 512/512 bytes at offset ${offset}\n512 bytes, 1 ops; TIME\n`;
const suspended = (tag: string) => `blkdebug: Suspended request '${tag}'\n`;
const resuming = (tag: string) => `blkdebug: Resuming request '${tag}'\n`;

describe('between two lines host I/O ends, so that a request', () => {
  it('is at its breakpoint when resume comes', async () => {
    expect(await outputOf('break pwritev_done A', 'aio_write 0 512', 'resume A', 'aio_flush')).toBe(
      suspended('A') + resuming('A') + wrote(0),
    );
  });

  it('is there also when remove_break comes', async () => {
    expect(await outputOf('break pwritev_done A', 'aio_write 0 512', 'remove_break A', 'aio_flush')).toBe(
      `${suspended('A')}${resuming('A')}${wrote(0)}Could not remove breakpoint A: No such file or directory\n`,
    );
  });

  it('is there with another beside it', async () => {
    const lines = ['break pwritev_done A', 'break pwritev_done B', 'aio_write 0 512', 'aio_write 4k 512'];
    expect(await outputOf(...lines, 'resume A', 'resume B', 'aio_flush')).toBe(
      suspended('B') + suspended('A') + wrote(4096) + resuming('A') + resuming('B') + wrote(0),
    );
  });

  it('reports before the next command', async () => {
    expect(await outputOf('aio_write 0 512', 'length', 'aio_write 1k 512', 'length')).toBe(
      `${wrote(0)}1 MiB\n${wrote(1024)}1 MiB\n`,
    );
  });

  it('goes on only with a command that polls in a list of -c', async () => {
    const { session, out } = await testShell();
    await runList(session.shell, ['aio_write 0 512', 'length', 'aio_flush']);
    expect(out()).toBe(`1 MiB\n${wrote(0)}`);
  });
});

describe('buffers', () => {
  async function pools(): Promise<{ reads: BufferPool; writes: BufferPool }> {
    const { session } = await testShell();
    return { reads: session.readBuffers, writes: session.writeBuffers };
  }

  it('of writes in flight with one pattern are one', async () => {
    const { writes } = await pools();
    const first = writes.lease(4096, 7);
    const second = writes.lease(512, 7);
    expect(second.data.buffer).toBe(first.data.buffer);
    expect(second.data).toEqual(Buffer.alloc(512, 7));
    first.release();
    expect(second.data).toEqual(Buffer.alloc(512, 7));
    const third = writes.lease(512, 8);
    expect(third.data.buffer).not.toBe(second.data.buffer);
    second.release();
    third.release();
  });

  it('of writes with another pattern or more bytes are others', async () => {
    const { writes } = await pools();
    const first = writes.lease(512, 7);
    const longer = writes.lease(4096, 7);
    expect(longer.data.buffer).not.toBe(first.data.buffer);
    expect(longer.data).toEqual(Buffer.alloc(4096, 7));
    const unfilled = writes.leaseUnfilled(512);
    unfilled.data.fill(1);
    expect(writes.lease(512, 7).data).toEqual(Buffer.alloc(512, 7));
  });

  it('that were shared are used again when all have released them', async () => {
    const { writes } = await pools();
    const first = writes.lease(512, 7);
    const second = writes.lease(512, 7);
    first.release();
    second.release();
    const other = writes.lease(512, 9);
    expect(other.data.buffer).toBe(first.data.buffer);
    expect(other.data).toEqual(Buffer.alloc(512, 9));
  });

  it('of reads are never shared, and no longer than they must be while others are in flight', async () => {
    const { reads } = await pools();
    const first = reads.lease(512, 0);
    const second = reads.lease(512, 0);
    expect(second.data.buffer).not.toBe(first.data.buffer);
    expect(second.buffer.length).toBe(512);
  });
});
