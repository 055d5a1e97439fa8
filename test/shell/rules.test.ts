/** Rules and the state, listed and changed by commands. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { complete } from '../../src/shell/words/completion.ts';
import { terminalPaint } from '../../src/cli/paint.ts';
import type { Paint } from '../../src/util/style.ts';
import { Errno } from '../../src/util/errno.ts';
import { testShell, type TestShell } from '../helpers/shell.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();

/** Runs lines that must succeed, and gives back what they said. */
async function say({ run, out }: TestShell, ...lines: string[]): Promise<string> {
  for (const line of lines) expect(await run(line), line).toBe(0);
  return out();
}

describe('rules', () => {
  it('are columns in a pipe', async () => {
    const shell = await testShell();
    await say(
      shell,
      'rule add inject-error event=write_aio errno=ENOSPC iotype=write sector=8',
      'rule add set-state event=write_aio state=1 new_state=2',
      'break -p pwritev A state=9',
      'write -q 0 512',
    );
    expect(await say(shell, 'rules')).toBe(
      '1\tinject\tENOSPC\twrite_aio\tsector=8 iotype=write\tactive\t1\t0\tdoes not touch sector 8\n' +
        '2\tset-state\t→2\twrite_aio\tstate=1\tarmed\t1\t-\t-\n' +
        '3\tbreak\tA\tpwritev\tstate=9 once=off\tarmed\t0\t-\tnot in state 9\n',
    );
    await shell.run('write -q 4k 512');
    expect(shell.out()).toBe('write failed: No space left on device\n');
    await say(shell, 'rule disable 2 3');
    expect(await say(shell, 'rules')).toMatch(/\tactive\t2\t1\t-\n2\t.*\tdisabled\t1\t.*\n3\t.*\tdisabled\t0\t/);
  });

  it('are a table on a terminal, and nothing in words', async () => {
    const rulesWith = async (paint?: Paint): Promise<string> => {
      const shell = await testShell({}, { isTerminal: true, ...(paint && { paint }) });
      expect(await say(shell, 'rules')).toBe('there are no rules\n');
      await say(shell, 'break pwritev A');
      return say(shell, 'rules');
    };
    const coloured = await rulesWith(terminalPaint('always'));
    expect(coloured).toContain('\x1b[32marmed ');
    const plain = await rulesWith();
    expect(stripVTControlCharacters(coloured)).toBe(plain);
    expect(plain).toBe(
      'RULE  ACTION  EFFECT  EVENT    CONDITIONS  STATUS  HITS  FAILED  SKIPPED BECAUSE\n' +
        '   1  break   A       pwritev  -           armed      0       -  -\n',
    );
  });

  it('are JSON with -j', async () => {
    const shell = await testShell();
    await say(shell, 'rule add inject-error event=read_aio nth=2');
    await say(shell, 'read -q 0 512');
    const output = await say(shell, 'rules -j');
    expect(output).toMatch(/^\[.*\]\n$/);
    expect(JSON.parse(output)).toEqual([
      {
        number: 1,
        kind: 'inject-error',
        event: 'read_aio',
        effect: 'EIO',
        conditions: 'nth=2',
        settings: { event: 'read_aio', errno: '5', nth: '2' },
        status: 'armed',
        active: true,
        hits: 1,
        injected: 0,
        lastSkip: { condition: 'nth', text: 'match 1, acts at match 2' },
      },
    ]);
  });

  it('are those of one node with -n', async () => {
    const shell = await testShell();
    const upper = 'driver=raw,file.driver=blkdebug,file.node-name=upper';
    const lower = 'file.image.driver=blkdebug,file.image.node-name=lower,file.image.image.filename=disk';
    await say(shell, 'close', `open -o ${upper},${lower}`);
    await say(shell, 'rule -n lower add inject-error event=pwritev', 'break pwritev A');
    expect(await say(shell, 'rules')).toMatch(/^1\tbreak\tA\t/);
    expect(await say(shell, 'rules -n upper')).toMatch(/^1\tbreak\tA\t/);
    expect(await say(shell, 'rules -n lower')).toMatch(/^1\tinject\tEIO\t/);
    await say(shell, 'state -n lower 4');
    expect([await say(shell, 'state'), await say(shell, 'state -n lower')].join('')).toMatch(/^state 1\nstate 4\n/);
    expect(await shell.run('rules -n other')).toBe(-Errno.ENOENT);
    expect(shell.err()).toBe("qemu-io: node 'other' has no rules; these have: upper, lower\n");
  });

  it('do not exist in an image without blkdebug', async () => {
    const shell = await testShell();
    await say(shell, 'close', 'open -o driver=raw disk');
    for (const line of ['rules', 'state', 'state 2', 'rule disable all', 'rules -n x']) {
      expect(await shell.run(line)).toBe(-Errno.ENOTSUP);
      expect(shell.err()).toBe('qemu-io: this image has no rules: open it through blkdebug ("blkdebug::FILE")\n');
    }
  });
});

describe('rule', () => {
  it.each([
    ['rule add', 'bad argument count 1 to rule, expected at least 2 arguments\n'],
    [
      'rule add break event=pwritev',
      "qemu-io: a rule is inject-error, set-state, log, hang, drop, tear, corrupt, misdirect, bad-sector or fsync-once, not 'break'\n",
    ],
    ['rule add inject-error pwritev', "qemu-io: 'pwritev' is not of the form key=value\n"],
    ['rule add inject-error event=none event=none', "qemu-io: 'event' is given twice\n"],
    ['rule add inject-error event=none errno=X', "qemu-io: there is no errno 'X'\n"],
    ['rule set 1 errno=5', 'qemu-io: there is no rule 1\n'],
    ['rule set x errno=5', "qemu-io: 'x' is not the number of a rule\n"],
    ['rule disable 0', 'qemu-io: there is no rule 0\n'],
    ['rule load /nosuch', 'qemu-io: Could not read blkdebug config file: No such file or directory\n'],
    ['rule save /nosuch/x', "qemu-io: Could not write '/nosuch/x': No such file or directory\n"],
  ])('refuses %j', async (line, expected) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBeLessThan(0);
    expect(shell.err()).toBe(expected);
    expect(await say(shell, 'rules')).toBe('');
  });

  it('shows its usage for an action that is none', async () => {
    const shell = await testShell();
    for (const line of ['rule foo 1', 'rule save a b', 'rule -n x', 'rule -x add y']) {
      expect(await shell.run(line)).toBe(-Errno.EINVAL);
      expect(shell.out()).toMatch(/^rule .* -- changes the rules of blkdebug\n$/);
    }
  });

  it('changes rules while a request waits', async () => {
    const shell = await testShell();
    await say(shell, 'break pwritev A', 'aio_write 0 512');
    await say(shell, 'rule add inject-error event=pwritev_done', 'rule set 2 event=none errno=ENOSPC times=1');
    await say(shell, 'resume A', 'aio_flush', 'write -q 0 512');
    const output = await say(shell, 'rules');
    expect(output).toContain('\texhausted\t');
    await say(shell, 'rule enable all');
    expect((await say(shell, 'rules')).match(/\t(?:armed|active)\t/g)).toHaveLength(2);
    await say(shell, 'rule remove all');
    expect(await say(shell, 'rules')).toBe('');
  });

  it('saves a file that loads again, and warns of what it cannot say', async () => {
    const shell = await testShell();
    const file = path.join(folder, 'saved.conf');
    await say(
      shell,
      'rule add set-state event=pwritev new_state=2',
      'rule add inject-error event=pwritev state=2 nth=3 offset=0..64k',
      'break pwritev A',
      `rule save ${file}`,
    );
    expect(shell.err()).toBe(
      'qemu-io: warning: rule 2: offset=0..64k is left out\n' +
        'qemu-io: warning: rule 2: nth=3 is left out\n' +
        "qemu-io: warning: rule 3: breakpoint 'A' is left out\n",
    );
    expect(readFileSync(file, 'utf8')).toBe(
      '[set-state]\nevent = "pwritev"\nnew_state = "2"\n\n' +
        '[inject-error]\nevent = "pwritev"\nerrno = "5"\nstate = "2"\n',
    );
    expect(await say(shell, `rule load ${file}`)).toBe('rules 4 to 5 added\n');
    writeFileSync(file, '');
    expect(await say(shell, `rule load ${file}`)).toBe(`no rules in ${file}\n`);
  });
});

describe('state', () => {
  it('is shown with what led to it, and can be set', async () => {
    const shell = await testShell({ 'file.set-state.event': 'pwritev', 'file.set-state.new_state': '2' });
    expect(await say(shell, 'state')).toBe('state 1\n');
    await say(shell, 'write -q 0 512', 'state 0x10');
    expect(await say(shell, 'state')).toMatch(/^state 16\n1\t2\trule 1\tpwritev\tw\d+\t0\n2\t16\tcommand\t-\t-\t0\n$/);
    expect(JSON.parse(await say(shell, 'state -j'))).toMatchObject({
      state: 16,
      changes: [
        { from: 1, to: 2, rule: 1, event: 'pwritev' },
        { from: 2, to: 16, rule: 0, event: null, seconds: 0 },
      ],
    });
  });

  it('shows the latest ten changes, or all', async () => {
    const shell = await testShell();
    for (let state = 2; state < 32; state += 1) await shell.run(`state ${state}`);
    expect((await say(shell, 'state')).split('\n')).toHaveLength(12);
    expect((await say(shell, 'state -a')).split('\n')).toHaveLength(32);
  });

  it.each(['x', '1k', '2147483648', '4294967296'])('refuses %s', async (text) => {
    const shell = await testShell();
    expect(await shell.run(`state ${text}`)).toBe(-Errno.EINVAL);
    expect(shell.out()).toBe(`${text} is not a state\n`);
  });
});

describe('break with conditions', () => {
  it('stops only where they hold', async () => {
    const shell = await testShell();
    expect(await say(shell, 'break pwritev A offset=64k..128k', 'write -q 0 64k')).toBe('');
    expect(await say(shell, 'aio_write -q 65024 1k')).toBe("blkdebug: Suspended request 'A'\n");
  });

  it.each(['break -p pwritev A', 'break pwritev A -p', 'break -pp pwritev A', 'break pwritev A once=off'])(
    'stays with %j',
    async (line) => {
      const shell = await testShell();
      await say(shell, line, 'aio_write -q 0 512', 'aio_write -q 512 512');
      expect(await say(shell, 'suspended')).toMatch(/^A\t.*\nA\t.*\n$/);
    },
  );

  it.each([
    'break pwritev A B',
    'break pwritev A nth',
    'break pwritev A nth=1 x',
    'break -p -p A',
    'break -- pwritev A nth=1 -l',
    'break -plx pwritev A',
  ])('refuses %j for its words, as qemu-io does', async (line) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(`bad argument count ${line.split(' ').length - 1} to break, expected 2 arguments\n`);
  });

  it.each([
    ['break nosuch A nth=1', 'Could not set breakpoint: No such file or directory\n', ''],
    ['break pwritev -p', '', ''],
    ['break -p A nth=1', 'Could not set breakpoint: No such file or directory\n', ''],
    ['break -p A', 'Could not set breakpoint: No such file or directory\n', ''],
    ['break pwritev A nth=x', '', "qemu-io: 'nth' expects a number from 1 on, not 'x'\n"],
    ['break pwritev A errno=5', '', "qemu-io: a breakpoint has no 'errno'\n"],
    ['break pwritev A tag=B', '', "qemu-io: 'tag' is given twice\n"],
  ])('answers %j', async (line, out, err) => {
    const shell = await testShell();
    const status = await shell.run(line);
    expect([shell.out(), shell.err(), status < 0]).toEqual([out, err, out + err !== '']);
  });

  it.each(['break -pl pwritev hello', 'break -l -- pwritev hello nth=1', 'break pwritev hello nth=1 -l'])(
    'reads the options of %j as those of any command',
    async (line) => {
      const shell = await testShell();
      expect(await say(shell, line, 'aio_write -q 0 512', 'aio_flush')).toContain('hello');
      expect(await say(shell, 'suspended')).toBe('');
    },
  );

  it('does not stop the end of the image if it stays', async () => {
    const shell = await testShell();
    await say(shell, 'write -q 0 512', 'break -p flush_to_disk A', 'close');
    expect(shell.out() + shell.err()).toBe('');
    expect(shell.session.exitStatus).toBe(0);
  });
});

describe('completion of rules', () => {
  it.each([
    ['rule ', ['add', 'disable', 'enable', 'load', 'remove', 'save', 'set']],
    ['rule add s', ['set-state']],
    ['rule add set-state n', ['new_state=', 'node=', 'nth=']],
    ['rule add inject-error event=l2_l', ['event=l2_load']],
    ['rule add inject-error event=l2_load iotype=write', ['iotype=write', 'iotype=write-zeroes']],
    ['rule set ', ['1', '2']],
    ['rule set 2 st', ['state=']],
    ['rule set 1 im', ['immediately=']],
    ['rule disable ', ['1', '2', 'all']],
    ['break pwritev ', []],
    ['break pwritev B on', ['once=']],
    ['break pwritev B t', ['times=']],
    ['break pwritev B once=o', ['once=off', 'once=on']],
  ])('of %j offers %j', async (line, expected) => {
    const shell = await testShell({ 'file.inject-error.event': 'l2_load' });
    await say(shell, 'break pwritev A');
    expect(complete(shell.session.shell, line).candidates).toEqual(expected);
  });

  it('offers files for load, and nothing while no image is open', async () => {
    writeFileSync(path.join(folder, 'one.conf'), '');
    const shell = await testShell();
    expect(complete(shell.session.shell, `rule load ${folder}/one`).candidates).toEqual([
      path.join(folder, 'one.conf'),
    ]);
    expect(complete((await testShell(null)).session.shell, 'rule ').candidates).toEqual([]);
  });
});
