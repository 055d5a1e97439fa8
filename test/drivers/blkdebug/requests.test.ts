/** Requests through blkdebug: limits, errors and events in their order. */
import { describe, expect, it } from 'vitest';
import { Event } from '../../../src/block/events/events.ts';
import { pdiscard } from '../../../src/block/request/discard.ts';
import { pwriteZeroes } from '../../../src/block/request/write.ts';
import { debugNode } from './debug-node.ts';

/** The requests that reached the image, without the events. */
function requests(debug: ReturnType<typeof debugNode>): string[] {
  return debug.calls.filter((call) => !call.startsWith('event'));
}

describe('limits on requests', () => {
  it('cut writes at max-transfer', async () => {
    const debug = debugNode({ 'max-transfer': 1024 });
    expect(await debug.write(512, 2560)).toBe(0);
    expect(requests(debug)).toEqual(['write 1024@512', 'write 1024@1536', 'write 512@2560']);
  });

  it('leave zero writes below opt-write-zero to a write of data', async () => {
    const debug = debugNode({ 'opt-write-zero': 4096 });
    expect(await debug.errnoOf(() => pwriteZeroes(debug.child, 1024, 8192, 0))).toBe(0);
    expect(requests(debug)).toEqual(['write 3072@1024', 'zero 4096@4096', 'write 1024@8192']);
  });

  it('cut zero writes at max-write-zero', async () => {
    const debug = debugNode({ 'max-write-zero': 4096 });
    expect(await debug.errnoOf(() => pwriteZeroes(debug.child, 0, 10240, 0))).toBe(0);
    expect(requests(debug)).toEqual(['zero 4096@0', 'zero 4096@4096', 'zero 2048@8192']);
  });

  it('pass discards on in whole blocks of opt-discard, and their edges apart', async () => {
    const debug = debugNode({ align: 512, 'opt-discard': 4096, 'max-discard': 8192 });
    expect(await debug.errnoOf(() => pdiscard(debug.child, 1024, 16384))).toBe(0);
    expect(requests(debug)).toEqual([
      'discard 3072@1024',
      'discard 8192@4096',
      'discard 4096@12288',
      'discard 1024@16384',
    ]);
  });
});

describe('where qemu-io 7.2 aborts', () => {
  it('a discard below the alignment is left out', async () => {
    const debug = debugNode({ align: 4096 });
    expect(await debug.errnoOf(() => pdiscard(debug.child, 0, 512))).toBe(0);
    expect(requests(debug)).toEqual([]);
  });

  it('a misaligned discard that is longer than the alignment is left out', async () => {
    const debug = debugNode({ align: 4096, 'opt-discard': 8192 });
    expect(await debug.errnoOf(() => pdiscard(debug.child, 1000, 5000))).toBe(0);
    expect(requests(debug)).toEqual([]);
  });

  it('a zero write whose fallback is cut by max-transfer goes on with data', async () => {
    const debug = debugNode({
      'max-transfer': '12k',
      'opt-write-zero': '64k',
      'inject-error.event': 'none',
      'inject-error.iotype': 'write-zeroes',
      'inject-error.errno': 95,
      'inject-error.once': 'on',
    });
    void debug.node.debugEvent(Event.NONE);
    expect(await debug.errnoOf(() => pwriteZeroes(debug.child, 0, 128 * 1024, 0))).toBe(0);
    const written = requests(debug).map((call) => Number(/\d+/.exec(call)?.[0]));
    expect(written.reduce((sum, bytes) => sum + bytes, 0)).toBe(128 * 1024);
    expect(requests(debug)[0]).toBe('write 12288@0');
  });
});
