/** Each kind of hazard where it is provoked, with both requests named; and what comes close, and is none. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { useFolder } from '../helpers/sandbox.ts';
import { type HazardImage, runLines } from './run-lines.ts';

const folder = useFolder();

const qcow2: HazardImage = { qcow2: {} };
const raw: HazardImage = { qcow2: null };

async function hazards(image: HazardImage, ...lines: string[]): Promise<readonly string[]> {
  const { hazards: found, stdout } = await runLines(folder, image, lines);
  // A script that does not come to its breakpoints proves nothing.
  const waits = lines.filter((line) => line.startsWith('wait_break')).length;
  expect(stdout.match(/Suspended request/g)?.length ?? 0, stdout).toBeGreaterThanOrEqual(waits);
  return found;
}

/** Requests without their numbers: those are of no interest here. */
const plain = (texts: readonly string[]): string[] => texts.map((text) => text.replace(/\b([a-z])\d+\b/g, '$1'));

describe('a cluster that is freed while a request is in flight on it', () => {
  it('is told where a discard meets a write in place, and again where the next write takes the cluster', async () => {
    const found = await hazards(
      qcow2,
      'write -q -P 1 0 64k',
      'break pwritev A',
      'aio_write -q -P 2 0 512',
      'wait_break A',
      'discard -q 0 64k',
      'write -q -P 3 64k 512',
      'resume A',
      'aio_flush',
    );
    expect(found).toEqual([
      'd6 (discard 64k@0) frees file 320k under w5 (write 512@0)',
      'w7 (write 512@64k) and w5 (write 512@0) both write file 320k',
    ]);
  });

  it.each(['write_aio', 'pwritev'])(
    'is told of a write that is suspended at %s, also by a zero write that unmaps',
    async (event) => {
      const held = [`break ${event} A`, 'aio_write -q -P 2 4k 4k', 'wait_break A'];
      const found = await hazards(qcow2, 'write -q 0 128k', ...held, 'write -q -z -u 0 128k', 'resume A', 'aio_flush');
      expect(plain(found)).toEqual(['w (write -z 128k@0) frees file 320k under w (write 4k@4k)']);
    },
  );

  it('is told of a read, also of a compressed cluster that a write replaces', async () => {
    const discarded = await hazards(
      qcow2,
      'write -q -P 1 0 64k',
      'break read_aio A',
      'aio_read -q 0 4k',
      'wait_break A',
      'discard -q 0 64k',
      'resume A',
      'aio_flush',
    );
    expect(plain(discarded)).toEqual(['d (discard 64k@0) frees file 320k under r (read 4k@0)']);
    const replaced = await hazards(
      qcow2,
      'write -q -c -P 1 0 64k',
      'break read_compressed A',
      'aio_read -q 0 4k',
      'wait_break A',
      'write -q -P 2 0 64k',
      'resume A',
      'aio_flush',
    );
    expect(plain(replaced)).toEqual(['w (write 64k@0) frees file 320k under r (read 4k@0)']);
  });

  it('is told of old data that is being copied', async () => {
    const lines = ['write -q -c -P 1 0 64k', 'break read_compressed A', 'aio_write -q -P 2 0 4k', 'wait_break A'];
    const found = await hazards(qcow2, ...lines, 'write -q -z 0 64k', 'resume A', 'aio_flush');
    expect(plain(found)).toEqual(['w (write -z 64k@0) frees file 320k under w (write 4k@0)']);
  });

  it('is told of a disk that is made shorter', async () => {
    const lines = ['write -q 960k 64k', 'break pwritev A', 'aio_write -q -P 2 960k 4k', 'wait_break A'];
    const found = await hazards(qcow2, ...lines, 'truncate 512k', 'resume A', 'aio_flush');
    expect(plain(found)).toEqual(['t (truncate @512k) frees file 320k under w (write 4k@960k)']);
  });

  it('is told once of each pair of requests, however many clusters there are', async () => {
    const lines = ['write -q 0 512k', 'break pwritev A', 'aio_write -q -P 2 0 512k', 'wait_break A'];
    expect(await hazards(qcow2, ...lines, 'discard -q 0 512k', 'resume A', 'aio_flush')).toHaveLength(1);
  });

  it('is in a raw image what a discard or a shorter length takes from under a write', async () => {
    const lines = ['break pwritev A', 'aio_write -q -P 2 0 64k', 'wait_break A'];
    expect(await hazards(raw, ...lines, 'discard -q 0 4k', 'truncate 32k', 'resume A', 'aio_flush')).toEqual([
      'd5 (discard 4k@0) discards file 0 under w4 (write 64k@0)',
      't6 (truncate @32k) cuts off file 32k under w4 (write 64k@0)',
    ]);
  });

  it('is none where the request is not yet, or not any more, at the cluster', async () => {
    // The data is written, and only the end of the request is left.
    const done = ['write -q 0 64k', 'break pwritev_done A', 'aio_write -q -P 2 0 512', 'wait_break A'];
    expect(await hazards(qcow2, ...done, 'discard -q 64k 64k', 'resume A', 'aio_flush')).toEqual([]);
    // It waits for the lock, which the discard has.
    const waiting = ['write -q 0 64k', 'break cluster_free A', 'aio_write -q -z -u 0 64k', 'wait_break A'];
    expect(await hazards(qcow2, ...waiting, 'aio_write -q -P 2 0 512', 'resume A', 'aio_flush')).toEqual([]);
  });

  it('is none beside it: another cluster, one that a snapshot or compressed data still has, a raw range beside', async () => {
    const held = ['write -q 0 128k', 'break pwritev A', 'aio_write -q -P 2 0 512', 'wait_break A'];
    expect(await hazards(qcow2, ...held, 'discard -q 64k 64k', 'resume A', 'aio_flush')).toEqual([]);
    const shared = [
      'write -q -P 1 0 64k',
      'snapshot -c one',
      'break read_aio A',
      'aio_read -q 0 4k',
      'wait_break A',
      'discard -q 0 64k',
      'write -q -P 2 128k 64k',
      'resume A',
      'aio_flush',
    ];
    expect(await hazards(qcow2, ...shared)).toEqual([]);
    const compressed = [
      'write -q -c -P 1 0 64k',
      'write -q -c -P 2 64k 64k',
      'break read_compressed A',
      'aio_read -q 0 64k',
      'wait_break A',
      'discard -q 64k 64k',
      'resume A',
      'aio_flush',
    ];
    expect(await hazards(qcow2, ...compressed)).toEqual([]);
    const beside = ['break pwritev A', 'aio_write -q -P 2 0 64k', 'wait_break A'];
    expect(await hazards(raw, ...beside, 'discard -q 64k 64k', 'truncate 512k', 'resume A', 'aio_flush')).toEqual([]);
  });

  it('is none where a failed write gives back its own space', async () => {
    const rule = 'rule add inject-error event=write_aio errno=EIO iotype=write once=on';
    expect(await hazards(qcow2, rule, 'aio_write -q 0 512k', 'aio_flush', 'write -q 0 64k')).toEqual([]);
  });
});

describe('a range that two requests write at once', () => {
  it('is none where one asker writes the same part of its disk twice, in any image', async () => {
    for (const image of [qcow2, raw]) {
      const lines = ['write -q 0 64k', 'break pwritev A', 'aio_write -q -P 2 0 64k', 'wait_break A'];
      expect(await hazards(image, ...lines, 'write -q -P 3 32k 32k', 'resume A', 'aio_flush')).toEqual([]);
    }
  });

  it('is none where a cluster is given back and taken again for the same part, though it was freed in flight', async () => {
    const lines = ['write -q 0 64k', 'break pwritev A', 'aio_write -q -P 2 0 512', 'wait_break A', 'discard -q 0 64k'];
    const found = await hazards(qcow2, ...lines, 'write -q -P 3 0 512', 'resume A', 'aio_flush');
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('frees file 320k');
  });

  it('is told where a table of metadata takes a cluster under a write', async () => {
    const small: HazardImage = { qcow2: { clusterBits: 9 } };
    const lines = ['write -q 0 512', 'break pwritev A', 'aio_write -q -P 2 0 512', 'wait_break A', 'discard -q 0 512'];
    // Another L2 table is needed there.
    const found = await hazards(small, ...lines, 'write -q 64k 512', 'resume A', 'aio_flush');
    expect(plain(found).slice(0, 2)).toEqual([
      'd (discard 512@0) frees file 2560 under w (write 512@0)',
      'w, for metadata, and w (write 512@0) both write file 2560',
    ]);
  });

  it('is none of compressed clusters that share a cluster of the file', async () => {
    const lines = ['break write_compressed A', 'aio_write -q -c -P 1 0 64k', 'wait_break A'];
    const held = lines.map((line) => line.replace('aio_write -q -c', 'write -q -c'));
    expect(await hazards(qcow2, ...held, 'write -q -c -P 2 64k 64k', 'resume A', 'aio_flush')).toEqual([]);
  });

  it('is none of subclusters, and of writes that wait for each other', async () => {
    const subclusters: HazardImage = { qcow2: { clusterBits: 16, extendedL2: true } };
    const lines = ['write -q 0 2k', 'break write_aio A', 'aio_write -q -P 2 4k 2k', 'wait_break A'];
    expect(await hazards(subclusters, ...lines, 'aio_write -q -P 3 8k 2k', 'resume A', 'aio_flush')).toEqual([]);
    const waiting = ['break write_aio A', 'aio_write -q -P 2 0 4k', 'wait_break A', 'aio_write -q -P 3 8k 4k'];
    expect(await hazards(qcow2, ...waiting, 'resume A', 'aio_flush')).toEqual([]);
  });
});

describe('an entry that is written before what it points to', () => {
  // QEMU does not look at the error of the flush that a dependency of a dependency asks for.
  const before = ['write -q 0 128k', 'flush', 'discard -q 0 64k'];
  const failing = 'rule add inject-error event=l2_update errno=EIO once=on';

  it('is told of an L2 entry whose refcount is not written', async () => {
    const found = await hazards(qcow2, ...before, failing, 'write -q -P 3 128k 128k', 'flush');
    expect(plain(found)).toEqual([
      'f (flush) writes the L2 entry of w for guest 128k before the refcount of file 448k is on disk',
    ]);
  });

  it('is told of one whose refcount was written and is not there: the write was dropped, or the flush was a lie', async () => {
    for (const fault of ['drop event=refblock_update_part once=on', 'drop iotype=flush event=refblock_update_part']) {
      const found = await hazards(
        qcow2,
        'write -q 64k 64k',
        'flush',
        `rule add ${fault}`,
        'write -q 128k 64k',
        'flush',
      );
      expect(plain(found).at(-1), fault).toContain('before the refcount of file 384k is on disk');
    }
  });

  it('is told of a new L2 table that never came to the disk', async () => {
    const found = await hazards(qcow2, 'rule add drop event=l2_update once=on', 'write -q -P 3 0 64k');
    expect(plain(found)).toEqual([
      'w (write 64k@0) writes the L1 entry for guest 0 before the new L2 table at file 256k is on disk',
    ]);
  });

  it('is told of old data whose copy was dropped, or whose flush was a lie, and not of dropped data of the guest', async () => {
    writeFileSync(path.join(folder, 'base.raw'), Buffer.alloc(1 << 20, 0xbb));
    const overBase: HazardImage = { qcow2: { backing: { filename: path.join(folder, 'base.raw'), format: 'raw' } } };
    const told = 'f (flush) writes the L2 entry of w for guest 0 before the old data copied to file 320k is on disk';
    const write = ['write -q 0 4k', 'flush'];
    // One write of the copy and the data, and the flush that the entry depends on.
    expect(plain(await hazards(overBase, 'rule add drop event=cow_write once=on', ...write))).toEqual([told]);
    expect(plain(await hazards(overBase, 'rule add drop iotype=flush event=write_aio', ...write))).toContain(told);
    expect(await hazards(overBase, ...write)).toEqual([]);
    // Without a copy all of it is the guest's.
    const whole = ['write -q 0 64k', 'flush'];
    expect(await hazards(overBase, 'rule add drop event=write_aio once=on', ...whole)).toEqual([]);
  });

  it('is none without the error, where the disk counts the cluster still, and where refcounts are lazy', async () => {
    expect(await hazards(qcow2, ...before, 'write -q -P 3 128k 128k', 'flush')).toEqual([]);
    // The write takes the cluster that was given back, and that is counted on the disk.
    expect(await hazards(qcow2, ...before, failing, 'write -q -P 3 128k 64k', 'flush')).toEqual([]);
    const lazy: HazardImage = { qcow2: { lazyRefcounts: true }, options: ['lazy-refcounts=on'] };
    expect(await hazards(lazy, 'write -q 0 64k', ...before, failing, 'write -q -P 3 128k 128k', 'flush')).toEqual([]);
  });

  it("is none of the guest's own data, which may come later, of a flush that fails, and with cache=unsafe", async () => {
    expect(await hazards(qcow2, 'rule add drop event=write_aio once=on', 'write -q 0 64k', 'flush')).toEqual([]);
    const rule = 'rule add inject-error event=flush_to_disk errno=EIO once=on';
    expect(await hazards(qcow2, 'write -q 0 64k', rule, 'write -q 64k 64k', 'flush', 'flush')).toEqual([]);
    const unsafe: HazardImage = { qcow2: {}, options: ['cache.no-flush=on'] };
    expect(await hazards(unsafe, ...before, 'write -q -P 3 128k 128k', 'flush')).toEqual([]);
  });

  it('is none where a block of refcounts is changed again after its flush', async () => {
    const lines = ['write -q 0 64k', 'flush', 'break write_aio A', 'aio_write -q 128k 64k', 'wait_break A'];
    expect(await hazards(qcow2, ...lines, 'write -q -z 0 64k', 'flush', 'resume A', 'aio_flush', 'flush')).toEqual([]);
  });

  it('is none of old data that is copied, and of new refcount blocks', async () => {
    writeFileSync(path.join(folder, 'base.raw'), Buffer.alloc(1 << 20, 0xbb));
    const backing = { filename: path.join(folder, 'base.raw'), format: 'raw' };
    const small: HazardImage = { qcow2: { clusterBits: 9, refcountOrder: 6, backing } };
    const writes = Array.from({ length: 40 }, (_, at) => `write -q -P 7 ${at * 5000} 700`);
    expect(await hazards(small, ...writes, 'flush')).toEqual([]);
  });
});

describe('a refcount that falls behind', () => {
  it('is told where an entry gets a cluster back that was given away', async () => {
    const lines = [
      'write -q 0 64k',
      'write -q -z 0 64k',
      'break write_aio A',
      'aio_write -q -P 2 0 512',
      'wait_break A',
    ];
    const found = await hazards(qcow2, ...lines, 'discard -q 0 64k', 'resume A', 'aio_flush');
    expect(found).toEqual([
      'd7 (discard 64k@0) frees file 320k under w6 (write 512@0)',
      'w6 (write 512@0) points guest 0 to file 320k, which d7 (discard 64k@0) has given back: no refcount counts it',
    ]);
  });

  it('is told where a reference is given up that nothing counts', async () => {
    const lines = [
      'write -q 0 64k',
      'write -q -z 0 64k',
      'break write_aio A',
      'aio_write -q -P 2 0 512',
      'wait_break A',
    ];
    const found = await hazards(qcow2, ...lines, 'discard -q 0 64k', 'resume A', 'aio_flush', 'discard -q 0 64k');
    expect(plain(found).at(-1)).toBe('d (discard 64k@0) gives back file 320k, whose refcount is 0 already');
  });

  it('is none where a write keeps a cluster that was only zeroed', async () => {
    const lines = [
      'write -q 0 64k',
      'write -q -z 0 64k',
      'break write_aio A',
      'aio_write -q -P 2 0 512',
      'wait_break A',
    ];
    expect(await hazards(qcow2, ...lines, 'write -q -z 0 64k', 'resume A', 'aio_flush')).toEqual([]);
  });
});
