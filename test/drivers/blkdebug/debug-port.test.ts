/** Breakpoints: what suspends, what resumes, and in which order. */
import { describe, expect, it } from 'vitest';
import { Errno } from '../../../src/util/errno.ts';
import { debugNode, settle } from './debug-node.ts';

type Debug = ReturnType<typeof debugNode>;

/** Runs a debug command as the shell does, as a coroutine of its own. */
async function command(debug: Debug, body: () => Promise<void>): Promise<number> {
  return debug.errnoOf(body);
}

const resume = (debug: Debug, tag: string) => command(debug, () => debug.port.resume(tag));
const remove = (debug: Debug, tag: string) => command(debug, () => debug.port.removeBreakpoints(tag));

describe('a breakpoint', () => {
  it('suspends the first request that fires its event, and no other', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    expect([debug.port.isArmed('A'), debug.port.isSuspended('A')]).toEqual([true, false]);
    await debug.startWrite(0);
    await debug.startWrite(4096);
    await settle(debug.loop);
    expect(debug.said).toEqual(["blkdebug: Suspended request 'A'"]);
    expect([debug.port.isArmed('A'), debug.port.isSuspended('A')]).toEqual([false, true]);
    expect(debug.ended).toEqual(['write 4096: ok']);
  });

  it('suspends when all rules of the event have acted: the state is the new one already', async () => {
    const debug = debugNode({ 'set-state.0.event': 'pwritev', 'set-state.0.new_state': 2 });
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(0);
    await settle(debug.loop);
    expect(debug.said).toEqual(["blkdebug: Suspended request 'A'"]);
    expect(debug.port.rules.state).toBe(2);
  });

  it('lets the request go on when it is resumed, at once', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(0);
    expect(await resume(debug, 'A')).toBe(0);
    expect(debug.said).toEqual(["blkdebug: Suspended request 'A'", "blkdebug: Resuming request 'A'"]);
    expect(debug.ended).toEqual(['write 0: ok']);
    expect(await resume(debug, 'A')).toBe(Errno.ENOENT);
  });

  it('takes the dotted event names of the 2014 manual, and refuses unknown ones', () => {
    const debug = debugNode();
    debug.port.setBreakpoint('l1_grow.alloc_table', 'A');
    expect(debug.port.isArmed('A')).toBe(true);
    expect(() => debug.port.setBreakpoint('pwrite', 'B')).toThrow('No such file or directory');
  });

  it('shows who is suspended, newest first', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(0, 1024);
    debug.port.setBreakpoint('pwritev_done', 'B');
    await debug.startWrite(4096);
    expect(
      debug.port.suspended().map(({ tag, operation, guestOffset, bytes, event }) => ({
        tag,
        operation,
        guestOffset,
        bytes,
        event,
      })),
    ).toEqual([
      { tag: 'B', operation: 'write', guestOffset: 4096, bytes: 512, event: 'pwritev_done' },
      { tag: 'A', operation: 'write', guestOffset: 0, bytes: 1024, event: 'pwritev' },
    ]);
  });

  it('resumes the newest of a tag first', async () => {
    const debug = debugNode();
    for (const offset of [0, 4096, 8192]) {
      debug.port.setBreakpoint('pwritev', 'A');
      await debug.startWrite(offset);
    }
    for (let count = 0; count < 3; count += 1) await resume(debug, 'A');
    expect(debug.ended).toEqual(['write 8192: ok', 'write 4096: ok', 'write 0: ok']);
  });

  it('forces two writes into either order', async () => {
    for (const order of [
      ['A', 'B'],
      ['B', 'A'],
    ]) {
      const debug = debugNode();
      debug.port.setBreakpoint('pwritev', 'A');
      await debug.startWrite(0);
      debug.port.setBreakpoint('pwritev', 'B');
      await debug.startWrite(4096);
      for (const tag of order) await resume(debug, tag);
      expect(debug.ended).toEqual(order.map((tag) => `write ${tag === 'A' ? 0 : 4096}: ok`));
    }
  });

  it('holds a request once for each of several breakpoints on one event', async () => {
    const debug = debugNode();
    for (const tag of ['A', 'B', 'A']) debug.port.setBreakpoint('pwritev', tag);
    await debug.startWrite(0);
    expect(debug.said).toEqual(['A', 'B', 'A'].map((tag) => `blkdebug: Suspended request '${tag}'`));
    expect([await resume(debug, 'A'), await resume(debug, 'A')]).toEqual([0, 0]);
    expect(await resume(debug, 'A')).toBe(Errno.ENOENT);
    expect(debug.ended).toEqual([]);
    expect(await resume(debug, 'B')).toBe(0);
    expect(debug.ended).toEqual(['write 0: ok']);
  });

  it.each([
    ['B', 'A'],
    ['A', 'B'],
  ])('waits for both tags whichever comes first: %s', async (first, second) => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    debug.port.setBreakpoint('pwritev', 'B');
    const request = await debug.startWrite(0);
    await resume(debug, first);
    expect(request.waitsFor).toEqual({ kind: 'breakpoint', tag: second, event: 'pwritev' });
    await resume(debug, second);
    expect(request.done).toBe(true);
  });
});

describe('removing a breakpoint', () => {
  it('takes all of the tag away, on all events', async () => {
    const debug = debugNode();
    for (const event of ['pwritev', 'pwritev_done', 'pwritev']) debug.port.setBreakpoint(event, 'A');
    debug.port.setBreakpoint('pwritev', 'B');
    expect(await remove(debug, 'A')).toBe(0);
    await debug.startWrite(0);
    expect(debug.said).toEqual(["blkdebug: Suspended request 'B'"]);
  });

  it('resumes what is suspended, and calls the tag unknown if nothing else was set under it, as qemu-io does', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(0);
    expect(await remove(debug, 'A')).toBe(Errno.ENOENT);
    expect(debug.said.at(-1)).toBe("blkdebug: Resuming request 'A'");
    expect(debug.ended).toEqual(['write 0: ok']);
    expect(await remove(debug, 'A')).toBe(Errno.ENOENT);
  });

  it('resumes the newest first, past the breakpoints that it removed', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(0);
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(4096);
    debug.port.setBreakpoint('pwritev_done', 'A');
    expect(await remove(debug, 'A')).toBe(0);
    expect(debug.ended).toEqual(['write 4096: ok', 'write 0: ok']);
    expect(debug.said.slice(2)).toEqual(["blkdebug: Resuming request 'A'", "blkdebug: Resuming request 'A'"]);
  });
});

describe('cancelling', () => {
  it('ends a suspended request with ECANCELED at its next I/O', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    await debug.startWrite(0);
    expect(await command(debug, () => debug.port.cancel('A'))).toBe(0);
    expect(debug.ended).toEqual([`write 0: ${Errno.ECANCELED}`]);
    expect(debug.calls.some((call) => call.startsWith('write'))).toBe(false);
  });

  it('lets go of a request that other tags hold as well, and of one that would hit another breakpoint', async () => {
    const debug = debugNode();
    debug.port.setBreakpoint('pwritev', 'A');
    debug.port.setBreakpoint('pwritev', 'B');
    debug.port.setBreakpoint('pwritev_done', 'C');
    await debug.startWrite(0);
    await command(debug, () => debug.port.cancel('A'));
    expect(debug.ended).toEqual([`write 0: ${Errno.ECANCELED}`]);
    expect([debug.port.isSuspended('B'), debug.port.isArmed('C')]).toEqual([false, true]);
  });

  it('of an unknown tag is ENOENT', async () => {
    const debug = debugNode();
    expect(await command(debug, () => debug.port.cancel('A'))).toBe(Errno.ENOENT);
  });
});

describe('ten thousand suspended requests', () => {
  it('are resumed by tag in any order', async () => {
    const debug = debugNode({}, 16 << 20);
    const count = 10_000;
    for (let index = 0; index < count; index += 1) {
      debug.port.setBreakpoint('pwritev', `T${index}`);
      await debug.startWrite(index * 512);
    }
    const order = Array.from({ length: count }, (_, index) => (index * 7919) % count);
    await debug.errnoOf(async () => {
      for (const number of order) await debug.port.resume(`T${number}`);
    });
    expect(debug.ended).toEqual(order.map((number) => `write ${number * 512}: ok`));
  });
});
