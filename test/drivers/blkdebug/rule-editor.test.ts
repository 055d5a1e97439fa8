/** Rules listed, added, changed, switched off, loaded and saved while the image is open. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type EventName, eventNames, type Event } from '../../../src/block/events/events.ts';
import { Open } from '../../../src/block/flags.ts';
import { BlockNode } from '../../../src/block/graph/node.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import type { RuleKind } from '../../../src/block/debug/rules.ts';
import { raw } from '../../../src/drivers/raw/driver.ts';
import { Errno } from '../../../src/util/errno.ts';
import { debugNode, settle } from './debug-node.ts';
import { useFolder } from '../../helpers/sandbox.ts';

type Settings = Record<string, string>;

function setUp(options: Record<string, OptionValue> = {}) {
  const debug = debugNode(options);
  const book = debug.port.rules;
  return {
    ...debug,
    book,
    add: (kind: RuleKind, settings: Settings) => book.add(kind, new Map(Object.entries(settings))),
    change: (number: number, settings: Settings) => book.change(number, new Map(Object.entries(settings))),
    fire: (event: EventName) => debug.node.debugEvent(eventNames.indexOf(event) as typeof Event.NONE),
    /** The numbers of the rules with this status. */
    numbers: (status: string) => book.list().flatMap((rule) => (rule.status === status ? [rule.number] : [])),
  };
}

/** Puts a raw node called "format0" above a node. */
function underRaw(node: BlockNode): void {
  const above = new BlockNode(raw, node.context, 'format0', Open.READ_WRITE, new Options());
  const parent = { description: 'format0', node: above };
  node.parents.push({ name: 'file', parent, node, role: 0, perm: 0, shared: 0 });
}

const EIO = Errno.EIO;

const folder = useFolder();

function file(text: string): string {
  const name = path.join(folder, 'rules.conf');
  writeFileSync(name, text);
  return name;
}

describe('a rule added while the image is open', () => {
  it('counts from its next event on', async () => {
    const { add, read, fire, book } = setUp();
    expect(add('inject-error', { event: 'l2_load', errno: 'enospc', iotype: 'read' })).toBe(1);
    expect(await read(0)).toBe(0);
    void fire('l2_load');
    expect(await read(0)).toBe(Errno.ENOSPC);
    expect(book.list()).toMatchObject([{ effect: 'ENOSPC', conditions: 'iotype=read', hits: 1, injected: 1 }]);
  });

  it('takes errors by number, too', async () => {
    const { add, read } = setUp();
    add('inject-error', { event: 'none', errno: '0x1c' });
    expect(await read(0)).toBe(Errno.ENOSPC);
  });

  it('is looked at at once if its event is none, and comes behind what is active', async () => {
    const { add, read, fire, book } = setUp({ 'inject-error.0.event': 'l2_load', 'inject-error.0.sector': 0 });
    void fire('l2_load');
    add('inject-error', { event: 'none', errno: 'EPERM' });
    add('inject-error', { event: 'none', errno: 'ENOMEM' });
    expect([await read(0), await read(512)]).toEqual([EIO, Errno.EPERM]);
    add('set-state', { event: 'none', new_state: '3' });
    expect(book.state).toBe(3);
    expect(book.stateChanges).toMatchObject([{ from: 1, to: 3, rule: 4, event: 'none' }]);
  });

  it.each<[RuleKind, Settings, string]>([
    ['inject-error', { errno: '5' }, "inject-error needs 'event'"],
    ['inject-error', { event: 'x' }, "there is no event 'x'"],
    ['inject-error', { event: 'none', errno: 'EFOO' }, "there is no errno 'EFOO'"],
    ['inject-error', { event: 'none', errno: '5x' }, "Parameter 'errno' expects a number"],
    ['inject-error', { event: 'none', new_state: '2' }, "inject-error has no 'new_state'"],
    ['inject-error', { event: 'none', toString: '2' }, "inject-error has no 'toString'"],
    ['inject-error', { event: 'none', iotype: 'x' }, 'invalid parameter value: x'],
    ['inject-error', { event: 'none', once: '1' }, "Parameter 'once' expects 'on' or 'off'"],
    ['set-state', { event: 'none' }, "set-state needs 'new_state'"],
    ['set-state', { event: 'none', new_state: '1', errno: '2' }, "set-state has no 'errno'"],
    ['suspend', { event: 'none', tag: 'A', errno: '2' }, "a breakpoint has no 'errno'"],
    ['watch', { tag: 'A', l2: '0' }, 'a watch is made by the command watch'],
    ['inject-error', { event: '*' }, "there is no event '*'"],
    ['inject-error', { event: 'none', nth: '0' }, "'nth' expects a number from 1 on, not '0'"],
    ['inject-error', { event: 'none', times: '1k' }, "'times' expects a number from 1 on, not '1k'"],
    ['inject-error', { event: 'none', nth: '99999999999999999999' }, "'nth' expects a number from 1 on"],
    ['inject-error', { event: 'none', seed: '1' }, "'seed' goes with 'probability'"],
    ['inject-error', { event: 'none', probability: '1.5' }, "'probability' expects a number from 0 to 1, not '1.5'"],
    ['inject-error', { event: 'none', probability: '.' }, "'probability' expects a number from 0 to 1, not '.'"],
    ['inject-error', { event: 'none', probability: '1', seed: '4294967296' }, "'seed' expects a number below 2^32"],
    ['inject-error', { event: 'none', offset: '64k' }, "'offset' expects a range of bytes A..B, not '64k'"],
    ['inject-error', { event: 'none', offset: '..4k' }, "'offset' expects a range of bytes A..B"],
    ['inject-error', { event: 'none', offset: '4k..4k' }, "'offset' expects a range of bytes A..B"],
    ['inject-error', { event: 'none', offset: '-1..4k' }, "'offset' expects a range of bytes A..B"],
    ['inject-error', { event: 'none', node: 'qcow2' }, "'node' expects a node or driver above the rules, not 'qcow2'"],
  ])('is refused: %s with %j', (kind, settings, message) => {
    const { add, book } = setUp();
    expect(() => add(kind, settings)).toThrow(message);
    expect(book.count).toBe(0);
  });
});

describe('nth', () => {
  it('acts once, at the Nth request that everything else lets through', async () => {
    const { add, read, write, fire, book } = setUp();
    add('inject-error', { event: 'none', nth: '2', iotype: 'read', sector: '1' });
    const errors = [await read(512), await write(512), await read(0), await read(0, 1024), await read(512)];
    expect(errors).toEqual([0, 0, 0, EIO, 0]);
    expect(book.list()).toMatchObject([{ status: 'exhausted', injected: 1 }]);
    void fire('none');
    expect(await read(512)).toBe(0);
  });

  it('counts the firings of the event for a change of state', () => {
    const { add, fire, book } = setUp();
    add('set-state', { event: 'l2_load', new_state: '2', nth: '3' });
    void fire('l2_load');
    void fire('l2_load');
    expect(book.state).toBe(1);
    expect(book.list()[0]?.lastSkip).toEqual({ condition: 'nth', text: 'match 2, acts at match 3' });
    void fire('l2_load');
    expect(book.state).toBe(2);
  });
});

describe('times', () => {
  it('acts that often and is spent', async () => {
    const { add, read, numbers } = setUp();
    add('inject-error', { event: 'none', times: '2', offset: '1k..2k' });
    expect([await read(1024), await read(0), await read(1536), await read(1024)]).toEqual([EIO, 0, EIO, 0]);
    expect(numbers('exhausted')).toEqual([1]);
  });

  it('counts also the requests that errno 0 lets pass', async () => {
    const { add, read } = setUp({ 'inject-error.0.event': 'pwritev' });
    add('inject-error', { event: 'none', errno: '0', times: '2' });
    add('inject-error', { event: 'none', errno: 'EPERM' });
    expect([await read(0), await read(0), await read(0)]).toEqual([0, 0, Errno.EPERM]);
  });
});

describe('probability', () => {
  async function failures(settings: Settings, requests = 400): Promise<string> {
    const { add, read } = setUp();
    add('inject-error', { event: 'none', immediately: 'on', ...settings });
    let errors = '';
    for (let count = 0; count < requests; count += 1) errors += (await read(0)) === 0 ? '.' : 'x';
    return errors;
  }

  it('acts about that often, the same way in every run, and another way with another seed', async () => {
    const seeded = await failures({ probability: '0.25', seed: '7' });
    const count = seeded.replaceAll('.', '').length;
    expect(count).toBeGreaterThan(60);
    expect(count).toBeLessThan(140);
    expect(await failures({ probability: '0.25', seed: '7' })).toBe(seeded);
    expect(await failures({ probability: '0.25', seed: '8' })).not.toBe(seeded);
    expect(await failures({ probability: '0.25', seed: '1' })).toBe(await failures({ probability: '.25' }));
  });

  it('acts never at 0 and always at 1', async () => {
    expect(await failures({ probability: '0' }, 20)).toBe('.'.repeat(20));
    expect(await failures({ probability: '1.0' }, 20)).toBe('x'.repeat(20));
  });

  it('comes before nth and times, which count what the dice let through', async () => {
    const dice = await failures({ probability: '0.5', seed: '3' });
    const third = [...dice.matchAll(/x/g)][2]?.index ?? 0;
    const expected = `${'.'.repeat(third)}x`.padEnd(400, '.');
    expect(await failures({ probability: '0.5', seed: '3', nth: '3' })).toBe(expected);
    const firstTwo = dice.replaceAll('x', (_x, at: number) => (at < third ? 'x' : '.'));
    expect(await failures({ probability: '0.5', seed: '3', times: '2' })).toBe(firstTwo);
  });
});

describe('offset', () => {
  it.each([
    [0, 1024, 0],
    [0, 1536, EIO],
    [1024, 512, EIO],
    [1536, 512, EIO],
    [2048, 512, 0],
  ])('of 1k..2k for a read at %i of %i bytes: errno %i', async (offset, bytes, errno) => {
    const { add, read } = setUp();
    add('inject-error', { event: 'none', offset: '1k..2k' });
    expect(await read(offset, bytes)).toBe(errno);
  });

  it('for a breakpoint is about the request of the user', async () => {
    const { add, startWrite, ended, port, loop, book } = setUp();
    add('suspend', { event: 'pwritev', tag: 'A', offset: '1k..2k' });
    const early = await startWrite(0, 1024);
    await startWrite(512, 1024);
    await settle(loop);
    expect(early.done).toBe(true);
    expect(ended).toEqual(['write 0: ok']);
    await port.resume('A');
    await settle(loop);
    expect(ended).toEqual(['write 0: ok', 'write 512: ok']);
    expect(book.list()).toMatchObject([{ status: 'exhausted', hits: 1 }]);
  });
});

describe('node', () => {
  it('counts only requests with a range, which have come through the node', async () => {
    for (const name of ['format0', 'raw']) {
      const { add, fire, startWrite, node, book } = setUp();
      underRaw(node);
      add('set-state', { event: 'pwritev_done', new_state: '2', node: name });
      void fire('pwritev_done');
      expect(book.state).toBe(1);
      expect(book.list()[0]?.lastSkip).toEqual({
        condition: 'node',
        text: `not in a request that came through ${name}`,
      });
      await startWrite(0);
      expect(book.state).toBe(2);
    }
  });
});

describe('a breakpoint', () => {
  it('that stays stops every request, until it is removed', async () => {
    const { add, startWrite, port, loop, ended, book, numbers } = setUp();
    add('suspend', { event: 'pwritev', tag: 'A', once: 'off' });
    await startWrite(0);
    await startWrite(512);
    expect(port.suspended()).toHaveLength(2);
    expect(book.list()).toMatchObject([{ status: 'armed', hits: 2, conditions: 'once=off' }]);
    await port.removeBreakpoints('A');
    await startWrite(1024);
    await settle(loop);
    expect(ended.toSorted()).toEqual(['write 0: ok', 'write 1024: ok', 'write 512: ok']);
    expect(numbers('armed')).toEqual([]);
  });

  it('with times stops that many', async () => {
    const { add, startWrite, port, book } = setUp();
    add('suspend', { event: 'pwritev', tag: 'A', times: '2' });
    for (const offset of [0, 512, 1024]) await startWrite(offset);
    expect(port.suspended()).toHaveLength(2);
    expect(book.list()).toMatchObject([{ status: 'exhausted', conditions: 'times=2' }]);
    expect(port.isArmed('A')).toBe(false);
  });

  it('that is not armed holds nothing, and waits again once it is', async () => {
    const { add, startWrite, port, book } = setUp();
    add('suspend', { event: 'pwritev', tag: 'A' });
    book.disable([1]);
    await startWrite(0);
    expect(port.isSuspended('A')).toBe(false);
    expect(port.isArmed('A')).toBe(false);
    book.enable([1]);
    await startWrite(0);
    expect(port.isSuspended('A')).toBe(true);
    await port.resume('A');
    book.enable([1]);
    await startWrite(0);
    expect(port.isSuspended('A')).toBe(true);
  });
});

describe('a rule that is changed', () => {
  it('keeps its number, its hits and its place among the active ones', async () => {
    const { add, change, read, book } = setUp();
    add('inject-error', { event: 'none', errno: 'EPERM', sector: '0' });
    add('inject-error', { event: 'none', errno: 'ENOMEM' });
    expect([await read(0), await read(512)]).toEqual([Errno.EPERM, Errno.ENOMEM]);
    change(1, { errno: 'ENOSPC', sector: '', iotype: 'read' });
    expect([await read(512), await read(0)]).toEqual([Errno.ENOSPC, Errno.ENOSPC]);
    expect(book.find(1)).toMatchObject({ number: 1, hits: 1, injected: 3, conditions: 'iotype=read' });
    expect(book.list().map(({ number }) => number)).toEqual([1, 2]);
  });

  it('goes over to another event, among whose rules it stands by its number', async () => {
    const { add, change, read, fire } = setUp();
    add('inject-error', { event: 'l2_load', errno: 'EPERM' });
    add('inject-error', { event: 'none', errno: 'ENOMEM' });
    change(1, { event: 'none' });
    void fire('none');
    expect(await read(0)).toBe(Errno.EPERM);
  });

  it('starts anew if it was spent, and stays off if it was disabled', async () => {
    const { add, change, read, book } = setUp();
    add('inject-error', { event: 'none', once: 'on' });
    expect([await read(0), await read(0)]).toEqual([EIO, 0]);
    change(1, { errno: 'ENOSPC' });
    expect([await read(0), await read(0)]).toEqual([Errno.ENOSPC, 0]);
    book.disable([1]);
    change(1, { errno: 'EPERM' });
    expect(book.find(1)).toMatchObject({ status: 'disabled', effect: 'EPERM' });
    expect(await read(0)).toBe(0);
  });

  it('loses its seed with its probability', () => {
    const { add, change, book } = setUp();
    add('inject-error', { event: 'none', probability: '0.5', seed: '9' });
    change(1, { probability: '' });
    expect(book.find(1)?.conditions).toBe('');
  });

  it('stays as it was if the change is refused', () => {
    const { add, change, book } = setUp();
    add('inject-error', { event: 'none', sector: '3' });
    expect(() => change(1, { sector: '4', nth: 'x' })).toThrow("'nth'");
    expect(() => change(1, { event: '' })).toThrow("inject-error needs 'event'");
    expect(() => change(2, {})).toThrow('there is no rule 2');
    expect(book.list()).toMatchObject([{ conditions: 'sector=3', status: 'armed' }]);
  });
});

describe('rules that are switched off and on', () => {
  it('are not looked at while they are off', async () => {
    const { add, read, fire, book } = setUp();
    add('inject-error', { event: 'l2_load' });
    void fire('l2_load');
    book.disable([1]);
    expect(await read(0)).toBe(0);
    void fire('l2_load');
    expect(await read(0)).toBe(0);
    book.enable([1]);
    expect(await read(0)).toBe(0);
    void fire('l2_load');
    expect(await read(0)).toBe(EIO);
    expect(book.find(1)?.hits).toBe(2);
  });

  it('count anew when they are armed again', async () => {
    const { add, read, book } = setUp();
    add('inject-error', { event: 'none', times: '1' });
    expect([await read(0), await read(0)]).toEqual([EIO, 0]);
    book.enable([1]);
    expect([await read(0), await read(0)]).toEqual([EIO, 0]);
  });

  it('are all left alone if one of the numbers is none', () => {
    const { add, book, numbers } = setUp();
    add('inject-error', { event: 'none' });
    for (const change of ['disable', 'enable', 'remove'] as const) {
      expect(() => book[change]([1, 2])).toThrow('there is no rule 2');
    }
    expect(numbers('armed')).toEqual([1]);
  });

  it('keep the order of their event, in whatever order they come back', async () => {
    const { add, read, fire, book } = setUp();
    for (const errno of ['1', '2', '3', '4']) add('inject-error', { event: 'l2_load', errno, once: 'on' });
    book.disable([1, 2, 3, 4]);
    for (const number of [3, 1, 4, 2]) book.enable([number]);
    void fire('l2_load');
    expect([await read(0), await read(0), await read(0), await read(0)]).toEqual([1, 2, 3, 4]);
  });
});

describe('a file of rules', () => {
  it('is added as a whole, as if the image were opened with it', async () => {
    const { book, read } = setUp();
    book.setState(1);
    const rules = '[inject-error]\nevent = "none"\nstate = "1"\n[set-state]\nevent = "none"\nnew_state = "2"\n';
    expect(book.load(file(rules))).toEqual([1, 2]);
    expect(book.state).toBe(2);
    expect(await read(0)).toBe(EIO);
    expect(book.load(file('# nothing\n'))).toEqual([]);
  });

  it.each([
    ['[inject-error]\nevent = "none"\n[inject-error]\nevent = "x"\n', 'invalid parameter value: x'],
    ['[inject-error]\nevent = "none"\nnth = "2"\n', "Invalid parameter 'nth'"],
    ['[inject-error]\nevent = "none"\nerrno = "ENOSPC"\n', "Parameter 'errno' expects a number"],
    ['[suspend]\nevent = "none"\n', "There is no option group 'suspend'"],
  ])('is refused as a whole, in the words of QEMU: %j', (text, message) => {
    const { book } = setUp();
    expect(() => book.load(file(text))).toThrow(message);
    expect(book.count).toBe(0);
  });

  it('that cannot be read is said so', () => {
    const message = 'Could not read blkdebug config file: No such file or directory';
    expect(() => setUp().book.load(path.join(folder, 'nosuch'))).toThrow(message);
  });

  it('says all that QEMU knows, and a warning for each thing that it does not', () => {
    const { add, book, node } = setUp();
    underRaw(node);
    const all = { event: 'l2_load', errno: '-5', state: '2', sector: '8', iotype: 'write', immediately: 'on' };
    add('inject-error', all);
    add('set-state', { event: 'pwritev', new_state: '0', state: '-1', times: '1' });
    add('inject-error', { event: 'none', once: 'on', probability: '0.5', seed: '3', offset: '0..4k', node: 'raw' });
    add('suspend', { event: 'pwritev', tag: 'A' });
    add('inject-error', { event: 'none', times: '1' });
    add('inject-error', { event: 'none', errno: '0', nth: '1' });
    book.disable([1]);
    const { text, warnings } = book.save();
    expect(text.split('\n\n')).toEqual([
      '# [inject-error]\n# event = "l2_load"\n# errno = "-5"\n# state = "2"\n# sector = "8"\n# iotype = "write"\n# immediately = "on"',
      '[set-state]\nevent = "pwritev"\nnew_state = "0"\nstate = "-1"',
      '[inject-error]\nevent = "none"\nerrno = "5"\nonce = "on"',
      '[inject-error]\nevent = "none"\nerrno = "5"\nonce = "on"',
      '[inject-error]\nevent = "none"\nerrno = "0"\n',
    ]);
    expect(warnings).toEqual([
      'rule 1 is disabled and becomes a comment',
      'rule 2: times=1 is left out',
      'rule 3: offset=0..4k is left out',
      'rule 3: node=raw is left out',
      'rule 3: probability=0.5 seed=3 is left out',
      "rule 4: breakpoint 'A' is left out",
      'rule 6: nth=1 is left out',
    ]);
  });

  it('that was saved has rules that are spent as they were, and is read as it was written', async () => {
    const { add, read, book } = setUp();
    add('inject-error', { event: 'none', once: 'on', sector: '18446744073709551614', state: '-2147483648' });
    add('inject-error', { event: 'none', once: 'on' });
    add('set-state', { event: 'l1_update', new_state: '7' });
    expect(await read(0)).toBe(EIO);
    const { text } = book.save();
    const other = setUp();
    other.book.load(file(text));
    expect(other.book.list().map(({ settings }) => settings)).toEqual(book.list().map(({ settings }) => settings));
    expect(other.numbers('armed')).toEqual([1, 2, 3]);
  });
});

describe('the state', () => {
  it('is set by hand, and remembers that', async () => {
    const { add, book, read } = setUp();
    add('inject-error', { event: 'none', state: '4' });
    book.setState(4);
    book.setState(4);
    expect(book.stateChanges).toMatchObject([{ from: 1, to: 4, rule: 0, event: null }]);
    expect(await read(0)).toBe(0);
  });
});

describe('a long list of rules', () => {
  it('is cut to those that are armed and late, in their order', () => {
    const { add, book } = setUp();
    for (let count = 0; count < 6; count += 1) add('inject-error', { event: 'none' });
    book.disable([2, 3, 5]);
    const shown = (limit: number) => book.list(limit).map(({ number }) => number);
    expect([shown(2), shown(4), shown(5), shown(9)]).toEqual([
      [4, 6],
      [1, 4, 5, 6],
      [1, 3, 4, 5, 6],
      [1, 2, 3, 4, 5, 6],
    ]);
  });

  it('forgets the oldest of those that are spent, not one that is in use', async () => {
    const { add, startWrite, port, book } = setUp();
    add('inject-error', { event: 'l2_load' });
    for (let count = 0; count < 1100; count += 1) {
      add('suspend', { event: 'pwritev', tag: 'A' });
      await startWrite(0);
      await port.resume('A');
    }
    expect(book.count).toBe(1001);
    expect(book.find(1)).toMatchObject({ status: 'armed' });
    expect(book.find(101)).toBeUndefined();
    expect(book.find(102)).toMatchObject({ status: 'exhausted' });
  });
});
