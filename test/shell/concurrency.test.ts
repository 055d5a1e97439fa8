/** Requests in flight together: breakpoints, waiting, cancelling, commands that get stuck. */
import { describe, expect, it } from 'vitest';
import { Errno } from '../../src/util/errno.ts';
import { testShell } from '../helpers/shell.ts';

const written = (offset: number): string => `wrote 512/512 bytes at offset ${offset}\n512 bytes, 1 ops; TIME\n`;

describe('asynchronous commands', () => {
  it('report when something polls: newest first, and before what polls', async () => {
    const shell = await testShell();
    await shell.run('aio_write 0 512');
    await shell.run('aio_write 512 512');
    expect(shell.out()).toBe('');
    expect(shell.session.background.unfinished).toBe(2);
    expect(await shell.run('read 1k 512')).toBe(0);
    expect(shell.out()).toBe(`${written(512)}${written(0)}read 512/512 bytes at offset 1024\n512 bytes, 1 ops; TIME\n`);
    expect(shell.session.background.unfinished).toBe(0);
  });

  it('are all done after aio_flush', async () => {
    const shell = await testShell();
    await shell.run('aio_write -P 9 0 512');
    await shell.run('aio_discard 4k 4k');
    await shell.run('aio_read -P 9 0 256 256');
    await shell.run('aio_write -z 512 512');
    expect(await shell.run('aio_flush')).toBe(0);
    expect(shell.out()).toBe(
      `${written(512)}read 512/512 bytes at offset 0\n512 bytes, 1 ops; TIME\n` +
        `discard 4096/4096 bytes at offset 4096\n4 KiB, 1 ops; TIME\n${written(0)}`,
    );
  });

  it('report before a synchronous command whose request ends in the same turn', async () => {
    const shell = await testShell({}, { name: 'bh' });
    await shell.run('aio_write 0 512');
    await shell.run('aio_write 512 512');
    await shell.run('read 1k 512');
    expect(shell.out()).toBe(`${written(512)}${written(0)}read 512/512 bytes at offset 1024\n512 bytes, 1 ops; TIME\n`);
  });

  it('count as done although the request fails', async () => {
    const shell = await testShell({
      'file.inject-error.0.event': 'pwritev',
      'file.inject-error.0.errno': '28',
      'file.inject-error.0.iotype': 'write',
    });
    expect(await shell.run('aio_write 0 512')).toBe(0);
    expect(await shell.run('aio_read 2M 512')).toBe(0);
    expect(await shell.run('aio_flush')).toBe(0);
    expect(shell.out()).toBe('readv failed: Input/output error\naio_write failed: No space left on device\n');
    expect(shell.session.exitStatus).toBe(0);
  });

  it('say what -i pretends, and look no further', async () => {
    const shell = await testShell();
    expect(await shell.run('aio_read -i -x 0 1')).toBe(0);
    expect(await shell.run('aio_write -qi -x 0 1')).toBe(0);
    expect(shell.out() + shell.err()).toBe('injecting invalid read request\ninjecting invalid write request\n');
  });

  it('complain about a wrong pattern, and report', async () => {
    const shell = await testShell();
    await shell.run('aio_read -P 1 0 512');
    await shell.run('aio_flush');
    expect(shell.out()).toBe(
      'Pattern verification failed at offset 0, 512 bytes\nread 512/512 bytes at offset 0\n512 bytes, 1 ops; TIME\n',
    );
  });
});

describe('breakpoints', () => {
  it('force two writes into either order', async () => {
    for (const order of ['AB', 'BA']) {
      const shell = await testShell();
      await shell.run('break pwritev A');
      await shell.run('aio_write -q -P 1 0 512');
      await shell.run('break pwritev B');
      await shell.run('aio_write -q -P 2 512 512');
      expect(await shell.run('wait_break A')).toBe(0);
      expect(await shell.run('wait_break B')).toBe(0);
      for (const tag of order) await shell.run(`resume ${tag}`);
      expect(await shell.run('aio_flush')).toBe(0);
      const [first, second] = order;
      expect(shell.out()).toBe(
        "blkdebug: Suspended request 'A'\nblkdebug: Suspended request 'B'\n" +
          `blkdebug: Resuming request '${first}'\nblkdebug: Resuming request '${second}'\n`,
      );
      expect([shell.image()[0], shell.image()[512]]).toEqual([1, 2]);
      expect(shell.session.exitStatus).toBe(0);
    }
  });

  it('let a resumed request end when something polls, not before', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    await shell.run('aio_write 0 512');
    await shell.run('resume A');
    expect(shell.out()).toBe("blkdebug: Suspended request 'A'\nblkdebug: Resuming request 'A'\n");
    await shell.run('read -q 0 512');
    expect(shell.out()).toBe(written(0));
  });

  it('give the prompt back when a synchronous command is suspended, and its result when it ends', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    expect(await shell.run('write -P 3 0 512')).toBe(0);
    expect(shell.out()).toBe("blkdebug: Suspended request 'A'\n");
    expect(shell.err()).toBe('');
    // Its data must survive other commands.
    await shell.run('write -q -P 4 4k 4k');
    await shell.run('resume A');
    expect(shell.out()).toBe("blkdebug: Resuming request 'A'\n");
    await shell.run('aio_flush');
    expect(shell.out()).toBe(written(0));
    expect(shell.image()[0]).toBe(3);
    expect(shell.session.exitStatus).toBe(0);
  });

  it('hint at a terminal how a suspended command goes on', async () => {
    const shell = await testShell({}, { isTerminal: true });
    await shell.run('break pwritev A');
    await shell.run('write 0 512');
    expect(shell.err()).toBe('(write is suspended at pwritev; "resume A" lets it go on)\n');
  });

  it('count the failure of a suspended command when it ends', async () => {
    const shell = await testShell({
      'file.inject-error.0.event': 'pwritev_done',
      'file.inject-error.0.iotype': 'read',
    });
    await shell.run('break read_aio A');
    expect(await shell.run('read -P 1 0 512')).toBe(0);
    expect(shell.session.exitStatus).toBe(0);
    await shell.run('resume A');
    await shell.run('aio_flush');
    expect(shell.out()).toContain('Pattern verification failed');
    expect(shell.session.exitStatus).toBe(1);
  });
});

describe('what qemu-io would wait for without end', () => {
  it('fails at once: wait_break on a tag without a breakpoint', async () => {
    const shell = await testShell();
    expect(await shell.run('wait_break A')).toBe(-Errno.ENOENT);
    expect(shell.err()).toBe("qemu-io: wait_break: there is no breakpoint 'A'\n");
  });

  it('fails at once: wait_break on a tag that nothing in flight can reach', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    await shell.run('aio_read -q 0 512');
    expect(await shell.run('wait_break A')).toBe(-Errno.EDEADLK);
    expect(shell.err()).toBe("qemu-io: wait_break: no request in flight can reach breakpoint 'A'\n");
  });

  it('is listed: aio_flush with a suspended request', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    await shell.run('aio_write -q 4k 512');
    await shell.run('aio_write -q 8k 512');
    expect(await shell.run('aio_flush')).toBe(-Errno.EBUSY);
    expect(shell.err()).toBe(
      'qemu-io: aio_flush: some requests cannot end before others are resumed\n' +
        "qemu-io: aio_flush: 'A': write of 512 bytes at offset 4096, suspended at pwritev for 0.0 s\n",
    );
    expect(shell.image()[8192]).toBe(0xcd);
    await shell.run('resume A');
    expect(await shell.run('aio_flush')).toBe(0);
  });

  it('is listed: reopen with a suspended request', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    await shell.run('aio_write -q 0 512');
    expect(await shell.run('reopen -r')).toBe(-Errno.EBUSY);
    expect(shell.err()).toContain("reopen: 'A': write of 512 bytes");
  });

  it('is cancelled: requests that are suspended when the image is closed', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    await shell.run('aio_write 0 512');
    await shell.run('break pwritev B');
    await shell.run('write 512 512');
    shell.out();
    await shell.session.close();
    expect(shell.err()).toBe(
      "qemu-io: cancelled: 'A': write of 512 bytes at offset 0, suspended at pwritev for 0.0 s\n" +
        "qemu-io: cancelled: 'B': write of 512 bytes at offset 512, suspended at pwritev for 0.0 s\n",
    );
    expect(shell.out()).toContain('aio_write failed: Operation canceled\n');
    expect(shell.session.exitStatus).toBe(1);
    expect(shell.session.background.unfinished).toBe(0);
    expect(shell.session.backend).toBeNull();
  });

  it('does not happen in a close: no breakpoint that is still set suspends its flush', async () => {
    const shell = await testShell();
    await shell.run('write -q 0 512');
    await shell.run('break flush_to_disk A');
    expect(await shell.run('close')).toBe(0);
    expect(shell.err()).toBe('');
    expect(shell.session.exitStatus).toBe(0);
    expect(await shell.run('open -o driver=raw disk')).toBe(0);
  });

  it('is cancelled: a request that runs into the next breakpoint on its way out', async () => {
    const shell = await testShell();
    await shell.run('break pwritev A');
    await shell.run('break pwritev_done B');
    await shell.run('aio_write -q 0 512');
    await shell.session.close();
    expect(shell.session.background.unfinished).toBe(0);
    expect(shell.session.exitStatus).toBe(1);
  });

  it('ends by an interrupt: a sleep', async () => {
    const shell = await testShell();
    const sleeping = shell.run('sleep 1000000000');
    setImmediate(() => shell.session.interrupt());
    // The clock of the test would let the time pass at once; an interrupt that comes first must win.
    expect([0, -Errno.EINTR]).toContain(await sleeping);
  });
});

describe('sleep', () => {
  it('lets requests go on', async () => {
    const shell = await testShell();
    await shell.run('aio_write 0 512');
    expect(await shell.run('sleep 5')).toBe(0);
    expect(shell.out()).toBe(written(0));
    expect(shell.session.loop.clock.nowNs()).toBe(5e6);
  });

  it('is over at once where its nanoseconds wrap around', async () => {
    const shell = await testShell();
    expect(await shell.run('sleep 9223372036854775807')).toBe(0);
    expect(shell.session.loop.clock.nowNs()).toBe(0);
  });
});
