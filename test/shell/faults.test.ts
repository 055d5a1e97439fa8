/** Faults beyond errno as a user of the shell sees them. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { complete } from '../../src/shell/words/completion.ts';
import { Errno } from '../../src/util/errno.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { testShell, type TestShell } from '../helpers/shell.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

const folder = useFolder();
let shell: TestShell;
beforeEach(async () => {
  shell = await testShell();
});

/** Runs lines, those that fail included, and gives back all that they print. */
async function say(...lines: string[]): Promise<string> {
  for (const line of lines) await shell.run(line);
  return shell.out() + shell.err();
}

const FAILED_READ = 'read failed: Input/output error\n';

describe('resume -a', () => {
  it('ends between two requests when it is interrupted', async () => {
    // Each look at the clock finds it is time to give Node a turn.
    class SlowClock extends ManualClock {
      override nowNs(): number {
        this.advance(50e6);
        return super.nowNs();
      }
    }
    shell = await testShell({}, { clock: new SlowClock() });
    await say('break pwritev A', 'break pwritev B', 'aio_write -q 0 512', 'aio_write -q 512 512');
    expect(shell.session.loop.alive.size).toBe(2);
    const resuming = shell.run('resume -a');
    setImmediate(() => shell.session.interrupt());
    expect(await resuming).toBe(-Errno.ECANCELED);
    expect(shell.out()).toContain('Could not resume request: Operation canceled\n');
    expect(await shell.run('resume -a')).toBe(0);
  });
});

describe('a fault', () => {
  it('drop: the write is acknowledged, a read gives the old data', async () => {
    await say('write -q -P 1 0 4k', 'rule add drop iotype=write when=1');
    expect(await say('write -P 2 0 4k')).toBe('wrote 4096/4096 bytes at offset 0\n4 KiB, 1 ops; TIME\n');
    expect(await say('read -q -P 1 0 4k')).toBe('');
    expect(await say('write -q -P 2 0 4k', 'read -q -P 2 0 4k')).toBe('');
  });

  it('tear: the first of four sectors arrives', async () => {
    await say('write -q -P 1 0 4k', 'rule add tear sectors=1');
    expect(await say('write -q -P 2 0 2k', 'read -q -P 2 0 512', 'read -q -P 1 512 3584')).toBe('');
  });

  it('corrupt: reads differ, alike for a seed', async () => {
    const dump = async (seed: number): Promise<string> => {
      shell = await testShell();
      return say(`rule add corrupt how=noise seed=${seed}`, 'read -v 0 512').then((text) =>
        text.slice(text.indexOf('00000000:')),
      );
    };
    const first = await dump(1);
    expect(await dump(1)).toBe(first);
    expect(await dump(2)).not.toBe(first);
    expect(await say('rule remove 1', 'read -q -P 0 0 512')).toBe('');
  });

  it('misdirect: the data is elsewhere', async () => {
    await say('rule add misdirect to=64k iotype=write', 'write -q -P 3 0 512');
    expect(await say('read -q -P 3 64k 512', 'read -q -P 0 0 512')).toBe('');
  });

  it('bad-sector: reads fail until the sector is written', async () => {
    await say('rule add bad-sector sector=1');
    expect(await say('read -q 0 1k', 'read -q 0 512', 'write -q 512 512', 'read -q 0 1k')).toBe(FAILED_READ);
  });

  it('fsync-once: the first flush fails, the second succeeds', async () => {
    await say('rule add fsync-once', 'write -q 0 512');
    expect([await shell.run('flush'), await shell.run('flush')]).toEqual([-Errno.EIO, 0]);
    expect(await say('rules')).toBe('1\tfsync-once\tEIO, then a lie\tnone\t-\texhausted\t1\t2\t-\n');
  });

  it('hang: is suspended until it is resumed', async () => {
    await say('rule add hang iotype=write tag=H', 'aio_write -q 0 512', 'wait_break H');
    expect(await say('suspended')).toMatch(/^H\tw[0-9]+\twrite\t0\t512\tnone\t/);
    expect(await say('resume H', 'aio_flush', 'suspended')).toBe("blkdebug: Resuming request 'H'\n");
    expect(await say('aio_write 0 512', 'cancel H', 'aio_flush')).toContain('Operation canceled');
  });

  it('hang: does not stop the end of the image', async () => {
    expect(await say('rule add hang iotype=flush', 'write -q 0 512', 'close')).toBe('rule 1 added\n');
    expect(shell.session.exitStatus).toBe(0);
  });

  it('delay-ns: takes its time by the clock of the loop', async () => {
    const { clock } = shell.session.loop;
    const before = clock.nowNs();
    expect(await say('rule add inject-error event=none errno=0 delay-ns=5000000000', 'write -q 0 512')).toBe(
      'rule 1 added\n',
    );
    expect(clock.nowNs() - before).toBe(5e9);
    expect(shell.image()[0]).toBe(0xcd);
  });

  it('delay-ns: ends with the command that is interrupted', async () => {
    const clock = new ManualClock();
    shell = await testShell({}, { clock });
    await say('rule add inject-error event=none errno=0 delay-ns=5000000000');
    const writing = shell.run('write 0 512');
    await new Promise(setImmediate);
    shell.session.interrupt();
    expect(await writing).toBe(-Errno.ECANCELED);
    expect(shell.out()).toBe('write failed: Operation canceled\n');
    expect(shell.image()[0]).toBe(0);
  });

  it('delay-ns: a close waits for a short one, and cancels a long one', async () => {
    const clock = new ManualClock();
    shell = await testShell({}, { clock });
    await say('rule add inject-error event=none errno=0 delay-ns=900000000 offset=0..512');
    await say('rule add inject-error event=none errno=0 delay-ns=5000000000 offset=512..1k');
    await say('aio_write -q 0 512', 'aio_write -q 512 512');
    const closing = shell.session.close();
    for (let step = 0; step < 12; step += 1) {
      clock.advance(1e8);
      await new Promise(setImmediate);
    }
    await closing;
    expect([shell.image()[0], shell.image()[512]]).toEqual([0xcd, 0]);
    expect(shell.out()).toContain('aio_write failed: Operation canceled\n');
    expect(shell.err()).toMatch(
      /^qemu-io: cancelled: write of 512 bytes at offset 512, delayed by rule 2 for 1\.[01] s\n$/,
    );
    expect(shell.session.exitStatus).toBe(1);
  });

  it('delay-ns: a close after an interrupt cancels each request once', async () => {
    const clock = new ManualClock();
    shell = await testShell({}, { clock });
    await say('rule add inject-error event=none errno=0 delay-ns=5000000000', 'aio_write -q 0 512');
    const flushing = shell.run('aio_flush');
    await new Promise(setImmediate);
    shell.session.interrupt();
    await flushing;
    const closing = shell.session.close();
    await new Promise(setImmediate);
    clock.advance(1e9);
    await closing;
    expect(shell.err()).toBe('qemu-io: cancelled: write of 512 bytes at offset 0, delayed by rule 1 for 1.0 s\n');
  });

  it('delay-ns: resume and cancel offer and take the tag of delays', async () => {
    shell = await testShell({}, { clock: new ManualClock() });
    await say('rule add inject-error event=none errno=0 delay-ns=5000000000', 'aio_write -q 0 512');
    expect(complete(shell.session.shell, 'cancel ').candidates).toEqual(['delay']);
    expect(await say('requests')).toMatch(/write\t0\t512\tdelay of rule 1\t/);
    expect(await say('resume -a')).toBe("blkdebug: Resuming request 'delay'\n");
    expect(shell.image()[0]).toBe(0xcd);
  });

  it('log: prints a line where its conditions hold', async () => {
    await say('rule add log event=pwritev text=here offset=4k..8k');
    expect(await say('write -q 0 512', 'write -q 4k 512')).toBe('blkdebug: rule 1: pwritev in write 4096 512: here\n');
  });
});

describe('the rules of faults', () => {
  it('are listed with how many requests they spoiled', async () => {
    await say('rule add drop iotype=write once=on', 'rule add tear sectors=2 offset=0..1M', 'write -q 0 4k');
    await say('write -q 0 4k');
    expect(await say('rules')).toBe(
      '1\tdrop\tnot written\tnone\tiotype=write once=on\texhausted\t1\t1\t-\n' +
        '2\ttear\tafter sector 2\tnone\toffset=0..1M\tactive\t1\t1\t-\n',
    );
  });

  it('are left out by rule save with a warning', async () => {
    const file = path.join(folder, 'saved.conf');
    const text = await say('rule add drop', 'rule add set-state event=pwritev new_state=2', `rule save ${file}`);
    expect(text).toContain('warning: rule 1: drop is left out');
    expect(readFileSync(file, 'utf8')).toBe('[set-state]\nevent = "pwritev"\nnew_state = "2"\n');
  });

  it.each([
    ['rule add drop iotype=read', "'iotype' expects write, write-zeroes, discard, flush, not 'read'"],
    ['rule add tear', "tear needs 'sectors'"],
    ['rule add inject-error event=none delay=1', "inject-error has no 'delay'"],
    ['rule add slow event=none', 'a rule is inject-error, set-state, log, '],
    ['rule set 1 sectors=x', "'sectors' expects a number from 1 on, not 'x'"],
  ])('refuse %j in one line', async (line, text) => {
    await say('rule add tear sectors=1');
    const said = await say(line);
    expect(said).toContain(text);
    expect(said.split('\n')).toHaveLength(2);
  });

  it.each([
    ['rule add mis', ['misdirect']],
    ['rule add corrupt how=', ['how=bits', 'how=noise', 'how=zeroes']],
    ['rule add corrupt on', ['on=', 'once=']],
    ['rule add drop iotype=f', ['iotype=flush']],
    ['rule add inject-error d', ['delay-ns=']],
    ['rule add tear w', ['when=']],
  ])('complete %j', (line, expected) => {
    expect(complete(shell.session.shell, line).candidates).toEqual(expected);
  });
});
