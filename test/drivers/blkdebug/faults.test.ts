/** Faults beyond errno, each over an image in memory: what reaches the disk, what the writer and the reader see. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Event } from '../../../src/block/events/events.ts';
import type { RuleKind } from '../../../src/block/debug/rules.ts';
import { requestsInFlight } from '../../../src/block/loop/in-flight.ts';
import { flush } from '../../../src/block/request/flush.ts';
import { pdiscard } from '../../../src/block/request/discard.ts';
import { preadv } from '../../../src/block/request/read.ts';
import { pwritev, pwriteZeroes } from '../../../src/block/request/write.ts';
import { Errno } from '../../../src/util/errno.ts';
import type { MemoryState } from '../../helpers/memory-node.ts';
import { type DebugNode, debugNode, settle } from './debug-node.ts';

let debug: DebugNode;
beforeEach(() => {
  debug = debugNode();
});

/** Adds a rule from words: "sectors=1 iotype=write". */
function add(kind: RuleKind, words = ''): number {
  const settings = words.split(' ').filter((word) => word !== '');
  return debug.port.rules.add(kind, new Map(settings.map((word) => word.split('=', 2) as [string, string])));
}

function view(number = 1): ReturnType<typeof debug.port.rules.find> {
  return debug.port.rules.find(number);
}

function image(): MemoryState {
  return debug.node.children[0]?.node.state as MemoryState;
}

function disk(): Buffer {
  return image().bytes;
}

async function readBack(offset: number, bytes = 512): Promise<Buffer> {
  const data = Buffer.alloc(bytes);
  expect(await debug.errnoOf(() => preadv(debug.child, offset, data, 0))).toBe(0);
  return data;
}

/** The calls of the image, events left out. */
function calls(): string[] {
  return debug.calls.filter((call) => !call.startsWith('event'));
}

function fire(event: 'l2_load' | 'l2_update'): void {
  expect(debug.node.debugEvent(Event[event.toUpperCase() as 'L2_LOAD' | 'L2_UPDATE'])).toBeUndefined();
}

const filled = (bytes: number, value: number): Buffer => Buffer.alloc(bytes, value);

describe('drop', () => {
  it('acknowledges writes, zero writes and discards that it does not do', async () => {
    await debug.write(0, 1024);
    add('drop');
    debug.calls.length = 0;
    expect(await debug.errnoOf(() => pwritev(debug.child, 0, filled(512, 9), 0))).toBe(0);
    expect(await debug.errnoOf(() => pwriteZeroes(debug.child, 0, 512, 0))).toBe(0);
    expect(await debug.errnoOf(() => pdiscard(debug.child, 0, 512))).toBe(0);
    expect(calls()).toEqual([]);
    expect(await readBack(0, 1024)).toEqual(filled(1024, 1));
    expect(view()).toMatchObject({ active: true, injected: 3, status: 'armed' });
  });

  it('of a flush flushes nothing below', async () => {
    add('drop', 'iotype=flush once=on');
    expect(view()?.effect).toBe('not flushed');
    await debug.write(0);
    expect(await debug.errnoOf(() => flush(debug.node))).toBe(0);
    expect(calls()).not.toContain('flush');
    await debug.write(0);
    expect(await debug.errnoOf(() => flush(debug.node))).toBe(0);
    expect(calls()).toContain('flush');
  });

  it('counts the requests that it would drop', async () => {
    add('drop', 'iotype=write offset=4k..8k when=2..3');
    const lost: boolean[] = [];
    for (let value = 1; value <= 5; value += 1) {
      await debug.errnoOf(() => pwritev(debug.child, 4096, filled(512, value), 0));
      await debug.write(0);
      lost.push(disk()[4096] !== value);
    }
    expect(lost).toEqual([false, true, true, false, false]);
    expect(view()).toMatchObject({ status: 'exhausted', injected: 2 });
  });

  it('with an event waits for it, and yields to the rules of another', async () => {
    add('drop', 'event=l2_update');
    add('inject-error', 'event=l2_load iotype=read');
    await debug.write(0);
    expect(disk()[0]).toBe(1);
    fire('l2_update');
    await debug.errnoOf(() => pwritev(debug.child, 0, filled(512, 2), 0));
    expect(disk()[0]).toBe(1);
    fire('l2_load');
    await debug.errnoOf(() => pwritev(debug.child, 0, filled(512, 3), 0));
    expect(disk()[0]).toBe(3);
  });

  it('without an event stays where the event of another rule fires', async () => {
    add('drop');
    add('inject-error', 'event=l2_load iotype=read');
    fire('l2_load');
    await debug.write(0);
    expect([disk()[0], await debug.read(0)]).toEqual([0, Errno.EIO]);
  });
});

describe('tear', () => {
  it('writes the first sectors only', async () => {
    add('tear', 'sectors=3');
    expect(await debug.write(4096, 4 * 512)).toBe(0);
    expect(disk().subarray(4096, 4096 + 2048)).toEqual(Buffer.concat([filled(1536, 1), filled(512, 0)]));
    expect(calls()).toEqual(['write 1536@4096']);
  });

  it('lets shorter writes arrive, and tears zero writes', async () => {
    await debug.write(0, 2048);
    add('tear', 'sectors=1');
    await debug.errnoOf(() => pwriteZeroes(debug.child, 0, 2048, 0));
    expect([disk()[511], disk()[512]]).toEqual([0, 1]);
    await debug.write(0, 512);
    expect(disk()[511]).toBe(1);
  });
});

describe('corrupt', () => {
  const spoiled = async (words: string): Promise<Buffer> => {
    debug = debugNode();
    await debug.write(0, 2048);
    add('corrupt', words);
    return readBack(0, 2048);
  };
  const bitsOff = (data: Buffer): number =>
    data.reduce((sum, byte) => sum + (byte ^ 1).toString(2).replaceAll('0', '').length, 0);

  it('flips so many bits of what is read, and leaves the disk alone', async () => {
    expect(bitsOff(await spoiled('bits=7 seed=3'))).toBe(7);
    expect(bitsOff(disk().subarray(0, 2048))).toBe(0);
    expect(bitsOff(await spoiled(''))).toBe(1);
  });

  it('does so alike in every run, and otherwise with another seed', async () => {
    for (const how of ['bits bits=20', 'noise']) {
      const first = await spoiled(`how=${how} seed=5`);
      expect(await spoiled(`how=${how} seed=5`)).toEqual(first);
      expect(await spoiled(`how=${how} seed=6`)).not.toEqual(first);
    }
  });

  it('keeps within the bytes that its conditions name', async () => {
    const data = await spoiled('how=zeroes offset=100..200');
    expect(data).toEqual(Buffer.concat([filled(100, 1), filled(100, 0), filled(1848, 1)]));
    const sector = await spoiled('how=zeroes sector=1');
    expect(sector).toEqual(Buffer.concat([filled(512, 1), filled(512, 0), filled(1024, 1)]));
  });

  it('flips all bits of a request that has no more', async () => {
    expect(await spoiled('bits=65536 sector=0')).toEqual(Buffer.concat([filled(512, 0xfe), filled(1536, 1)]));
  });

  it('on=disk changes what is written, not the buffer of the writer', async () => {
    add('corrupt', 'how=noise on=disk');
    const data = filled(512, 7);
    expect(await debug.errnoOf(() => pwritev(debug.child, 0, data, 0))).toBe(0);
    expect(data).toEqual(filled(512, 7));
    const stored = await readBack(0);
    expect(stored).not.toEqual(data);
    expect(await readBack(0)).toEqual(stored);
  });
});

describe('misdirect', () => {
  it('writes and reads at the other offset', async () => {
    add('misdirect', 'to=64k iotype=write');
    await debug.write(0);
    expect([disk()[0], disk()[65536]]).toEqual([0, 1]);
    add('misdirect', 'to=64k iotype=read');
    expect(await readBack(8192)).toEqual(filled(512, 1));
  });

  it('fails behind the end, which stays where it is', async () => {
    add('misdirect', 'to=1M');
    expect([await debug.write(0), await debug.read(0)]).toEqual([Errno.EIO, Errno.EIO]);
    expect(calls()).toEqual([]);
  });
});

describe('bad-sector', () => {
  it('fails reads that touch it until it is written', async () => {
    add('bad-sector', 'sector=2');
    expect([await debug.read(0, 1024), await debug.read(0, 2048), await debug.read(1024)]).toEqual([0, 5, 5]);
    expect(await debug.write(0, 512)).toBe(0);
    expect(await debug.read(1024)).toBe(Errno.EIO);
    expect(await debug.write(512, 2048)).toBe(0);
    expect(await debug.read(0, 2048)).toBe(0);
    expect(view()).toMatchObject({ status: 'exhausted', injected: 3 });
    debug.port.rules.enable([1]);
    expect(await debug.read(1024)).toBe(Errno.EIO);
  });

  it('is many with offset, each mended by a write of it', async () => {
    add('bad-sector', 'offset=1k..3k errno=EILSEQ');
    await debug.errnoOf(() => pwriteZeroes(debug.child, 1536, 512, 0));
    const errnos: number[] = [];
    for (let sector = 1; sector < 7; sector += 1) errnos.push(await debug.read(sector * 512));
    expect(errnos).toEqual([0, Errno.EILSEQ, 0, Errno.EILSEQ, Errno.EILSEQ, 0]);
  });

  it('stays bad where the write failed', async () => {
    add('bad-sector', 'sector=0');
    image().failures.set('write', Errno.ENOSPC);
    expect([await debug.write(0), await debug.read(0)]).toEqual([Errno.ENOSPC, Errno.EIO]);
  });
});

describe('fsync-once', () => {
  it('fails one flush, lies at the next, and is over', async () => {
    add('fsync-once');
    const flushes: [number, boolean][] = [];
    for (let count = 0; count < 3; count += 1) {
      debug.calls.length = 0;
      if (count !== 1) await debug.write(0);
      flushes.push([await debug.errnoOf(() => flush(debug.node)), calls().includes('flush')]);
    }
    expect(flushes).toEqual([
      [Errno.EIO, false],
      [0, false],
      [0, true],
    ]);
    expect(view()).toMatchObject({ status: 'exhausted', injected: 2 });
  });
});

describe('hang', () => {
  it('suspends each request until it is resumed, and shows it', async () => {
    add('hang', 'iotype=write tag=H');
    await debug.startWrite(0);
    expect(debug.ended).toEqual([]);
    expect(debug.port.suspended()).toMatchObject([{ tag: 'H', operation: 'write', guestOffset: 0, event: 'none' }]);
    expect([debug.port.isArmed('H'), calls()]).toEqual([true, []]);
    await debug.errnoOf(() => debug.port.resume('H') as Promise<void>);
    await settle(debug.loop);
    expect([debug.ended, calls()]).toEqual([['write 0: ok'], ['write 512@0']]);
  });

  it('ends with ECANCELED what is cancelled, unwritten', async () => {
    add('hang');
    await debug.startWrite(0);
    await debug.errnoOf(() => debug.port.cancel('hang') as Promise<void>);
    await settle(debug.loop);
    expect([debug.ended, calls()]).toEqual([[`write 0: ${Errno.ECANCELED}`], []]);
  });

  it('is gone with remove_break, and off when breakpoints are', async () => {
    add('hang', 'tag=H');
    await debug.startWrite(0);
    await debug.errnoOf(() => debug.port.removeBreakpoints('H'));
    expect([debug.ended, debug.port.rules.count]).toEqual([['write 0: ok'], 0]);
    add('hang');
    debug.port.rules.disableBreakpoints();
    expect(await debug.write(0)).toBe(0);
  });
});

describe('delay-ns', () => {
  it('with errno 0 is a delay alone, else one before the error', async () => {
    add('inject-error', 'event=none errno=0 delay-ns=1000000 iotype=write');
    add('inject-error', 'event=none errno=ENOSPC delay-ns=1000000 iotype=read once=on');
    await debug.startWrite(0);
    expect([debug.ended, calls()]).toEqual([[], []]);
    const waits = Array.from(debug.loop.alive, ({ waitsFor }) => waitsFor?.kind);
    expect(waits).toEqual(['delay']);
    expect(await debug.read(0)).toBe(Errno.ENOSPC);
    while (debug.loop.pending) await debug.loop.poll();
    expect([debug.ended, disk()[0]]).toEqual([['write 0: ok'], 1]);
    expect([view(1)?.effect, view(2)?.effect]).toEqual(['1000000ns', 'ENOSPC after 1000000ns']);
    expect([view(1)?.injected, view(2)?.status]).toEqual([1, 'exhausted']);
  });

  it('ends at once when the request is cancelled', async () => {
    add('inject-error', 'event=none errno=0 delay-ns=2000000000000');
    const request = await debug.startWrite(0);
    debug.loop.cancel(request);
    await debug.loop.poll(false);
    expect([debug.ended, calls()]).toEqual([[`write 0: ${Errno.ECANCELED}`], []]);
  });
});

describe('a delay', () => {
  const requests = async (count: number): Promise<number[]> => {
    add('inject-error', 'event=none errno=0 delay-ns=2000000000000');
    const ids: number[] = [];
    for (let at = 0; at < count; at += 1) ids.push((await debug.startWrite(at * 512)).id);
    return ids;
  };

  it('says what it waits for, and for which rule', async () => {
    await requests(1);
    expect(requestsInFlight(debug.loop)).toMatchObject([{ waitsFor: 'delay of rule 1' }]);
    expect([debug.port.isSuspended('delay'), debug.port.suspended()]).toEqual([true, []]);
  });

  it('ends by resume: the newest under its tag, all by -a', async () => {
    await requests(3);
    await debug.port.resume('delay');
    expect(debug.ended).toEqual(['write 1024: ok']);
    await debug.port.resumeAll();
    expect(debug.ended).toEqual(['write 1024: ok', 'write 0: ok', 'write 512: ok']);
    expect(await debug.errnoOf(() => debug.port.resume('delay'))).toBe(Errno.ENOENT);
    expect(await debug.errnoOf(() => debug.port.resumeAll())).toBe(Errno.ENOENT);
  });

  it('ends by cancel: all under its tag, one by its number', async () => {
    const [, second = 0] = await requests(3);
    expect([await debug.port.cancelRequest(second), await debug.port.cancelRequest(second)]).toEqual([true, false]);
    expect(debug.ended).toEqual([`write 512: ${Errno.ECANCELED}`]);
    await debug.port.cancel('delay');
    expect(debug.ended.slice(1)).toEqual([`write 0: ${Errno.ECANCELED}`, `write 1024: ${Errno.ECANCELED}`]);
    expect(await debug.errnoOf(() => debug.port.cancel('delay'))).toBe(Errno.ENOENT);
    expect(calls()).toEqual([]);
  });

  it('is none any more once the image is about to be closed', async () => {
    add('inject-error', 'event=none errno=ENOSPC delay-ns=2000000000000');
    debug.port.rules.endDelays();
    expect(await debug.write(0)).toBe(Errno.ENOSPC);
  });
});

describe('log', () => {
  it('prints a line where its conditions hold, and goes on', async () => {
    add('log', 'event=pwritev text=here nth=2');
    await debug.startWrite(0);
    await debug.startWrite(4096);
    await debug.startWrite(8192);
    expect(debug.said).toEqual(['blkdebug: rule 1: pwritev in write 4096 512: here']);
    await settle(debug.loop);
    expect([debug.ended.length, view()?.status]).toEqual([3, 'exhausted']);
  });
});

describe('when', () => {
  const times = async (when: string): Promise<number[]> => {
    debug = debugNode();
    add('inject-error', `event=none iotype=read when=${when}`);
    const failed: number[] = [];
    for (let count = 1; count <= 12; count += 1) if ((await debug.read(0)) !== 0) failed.push(count);
    return failed;
  };

  it.each([
    ['3', [3], 'exhausted'],
    ['2..4', [2, 3, 4], 'exhausted'],
    ['9+', [9, 10, 11, 12], 'armed'],
    ['2+4', [2, 6, 10], 'armed'],
    ['2..9+3', [2, 5, 8], 'exhausted'],
    ['2..2+5', [2], 'exhausted'],
  ])('=%s acts at the times %j', async (when, expected, status) => {
    expect(await times(when)).toEqual(expected);
    expect(view()?.status).toBe(status);
  });

  it.each(['', '0', '3..2', '1+0', '-1', '+2', '1..', 'x', '1+2+3'])('=%j is refused', async (when) => {
    await expect(times(when)).rejects.toThrow(`'when' expects FIRST[..LAST][+STEP], numbers from 1 on, not '${when}'`);
  });

  it('starts anew when the rule is enabled', async () => {
    await times('3');
    debug.port.rules.enable([1]);
    debug.port.rules.disable([1]);
    debug.port.rules.enable([1]);
    expect(view()).toMatchObject({ status: 'armed', active: true });
    expect([await debug.read(0), await debug.read(0), await debug.read(0)]).toEqual([0, 0, Errno.EIO]);
  });
});

describe('settings of faults', () => {
  it.each([
    ['drop', 'iotype=read', "'iotype' expects write, write-zeroes, discard, flush, not 'read'"],
    ['drop', 'sectors=1', "drop has no 'sectors'"],
    ['drop', 'state=2', "'state' goes with an 'event' other than none"],
    ['tear', '', "tear needs 'sectors'"],
    ['tear', 'sectors=0', "'sectors' expects a number from 1 on, not '0'"],
    ['corrupt', 'how=upside', "'how' expects bits, zeroes, noise, not 'upside'"],
    ['corrupt', 'on=air', "'on' expects read, disk, not 'air'"],
    ['corrupt', 'how=noise bits=3', "'bits' goes with how=bits"],
    ['corrupt', 'bits=70000', "'bits' expects a number from 1 to 65536, not '70000'"],
    ['corrupt', 'seed=x', "'seed' expects a number below 2^32, not 'x'"],
    ['misdirect', '', "misdirect needs 'to'"],
    ['misdirect', 'to=100', "'to' expects an offset in bytes, a multiple of 512, not '100'"],
    ['bad-sector', '', "bad-sector needs 'sector' or 'offset'"],
    ['bad-sector', 'sector=1 offset=0..1k', "bad-sector has 'sector' or 'offset', not both"],
    ['bad-sector', 'sector=1 errno=0', "'errno' expects an error, not '0'"],
    ['fsync-once', 'errno=-5', "'errno' expects an error, not '-5'"],
    ['fsync-once', 'iotype=read', "fsync-once has no 'iotype'"],
    ['hang', 'event=nothing', "there is no event 'nothing'"],
    ['log', '', "log needs 'event'"],
    ['inject-error', 'event=none delay-ns=1s', "'delay-ns' expects nanoseconds from 0 to 2147483647000000, not '1s'"],
  ] as const)('%s %s is refused', (kind, words, text) => {
    expect(() => add(kind, words)).toThrow(text);
    expect(debug.port.rules.count).toBe(0);
  });

  it('change with the rule, which keeps its number and counts', async () => {
    add('tear', 'sectors=1');
    await debug.write(0, 1024);
    debug.port.rules.change(1, new Map([['sectors', '2']]));
    await debug.write(4096, 2048);
    expect([disk()[4096 + 1023], disk()[4096 + 1024]]).toEqual([1, 0]);
    expect(view()).toMatchObject({ effect: 'after sector 2', injected: 2, settings: { sectors: '2', event: 'none' } });
  });

  it('are left out by save, each with a warning', () => {
    add('drop');
    add('log', 'event=pwritev');
    add('inject-error', 'event=pwritev errno=0 delay-ns=5 when=1..2');
    add('inject-error', 'event=pwritev when=1');
    expect(debug.port.rules.save()).toEqual({
      text: '[inject-error]\nevent = "pwritev"\nerrno = "0"\n\n[inject-error]\nevent = "pwritev"\nerrno = "5"\nonce = "on"\n',
      warnings: [
        'rule 1: drop is left out',
        'rule 2: log is left out',
        'rule 3: when=1..2 is left out',
        'rule 3: delay-ns=5 is left out',
      ],
    });
  });
});

describe('records', () => {
  it('tell of each fault, and of the error that it ends with', async () => {
    add('drop', 'iotype=write');
    add('fsync-once');
    const records: object[] = [];
    debug.node.trace.subscribe(({ kind, ...record }) => {
      if (/injected|exhausted/.test(kind)) records.push({ kind, ...pick(record) });
    });
    await debug.write(0);
    await debug.errnoOf(() => flush(debug.node));
    expect(records).toEqual([
      { kind: 'fault-injected', rule: 1, fault: 'drop' },
      { kind: 'fault-injected', rule: 2, fault: 'fsync-once' },
      { kind: 'error-injected', rule: 2, errno: 5 },
    ]);
  });

  function pick(record: object): object {
    return Object.fromEntries(Object.entries(record).filter(([name]) => ['rule', 'fault', 'errno'].includes(name)));
  }
});
