/** Rules meet events: states, conditions, order, and the requests that fail. */
import type { Pending } from '../../../src/util/steps.ts';
import { describe, expect, it } from 'vitest';
import { Event, type EventName, eventNames } from '../../../src/block/events/events.ts';
import type { OptionValue } from '../../../src/block/options/options.ts';
import { blockStatus } from '../../../src/block/request/status.ts';
import { flush } from '../../../src/block/request/flush.ts';
import { pdiscard } from '../../../src/block/request/discard.ts';
import { preadv } from '../../../src/block/request/read.ts';
import { pwriteZeroes } from '../../../src/block/request/write.ts';
import type { Rules } from '../../../src/block/debug/rules.ts';
import { InjectErrorRule } from '../../../src/drivers/blkdebug/rules/inject-error.ts';
import { Errno } from '../../../src/util/errno.ts';
import { debugNode, settle } from './debug-node.ts';

/** Options of inject-error rules: one object a rule. */
function inject(...rules: Record<string, OptionValue>[]): Record<string, OptionValue> {
  return numbered('inject-error', rules);
}

function setState(...rules: Record<string, OptionValue>[]): Record<string, OptionValue> {
  return numbered('set-state', rules);
}

function numbered(group: string, rules: Record<string, OptionValue>[]): Record<string, OptionValue> {
  return Object.fromEntries(
    rules.flatMap((rule, index) => Object.entries(rule).map(([key, value]) => [`${group}.${index}.${key}`, value])),
  );
}

function book({ port }: ReturnType<typeof debugNode>): Rules {
  return port.rules;
}

function fire(debug: ReturnType<typeof debugNode>, event: EventName): void {
  const wait = debug.node.debugEvent(eventNames.indexOf(event) as typeof Event.NONE);
  expect(wait).toBeUndefined();
}

describe('inject-error', () => {
  it('does nothing before its event fires', async () => {
    const debug = debugNode(inject({ event: 'l2_load' }));
    expect(await debug.read(0)).toBe(0);
  });

  it('fails requests from its event on, until another event matches inject rules', async () => {
    const debug = debugNode(inject({ event: 'l2_load', errno: 28 }, { event: 'l2_update', errno: 22, sector: 7 }));
    fire(debug, 'l2_load');
    expect([await debug.read(0), await debug.read(0)]).toEqual([Errno.ENOSPC, Errno.ENOSPC]);
    fire(debug, 'cow_read');
    expect(await debug.read(0)).toBe(Errno.ENOSPC);
    fire(debug, 'l2_update');
    expect([await debug.read(0), await debug.read(7 * 512)]).toEqual([0, Errno.EINVAL]);
  });

  it('stays active when its event fires again in another state', async () => {
    const debug = debugNode({
      ...inject({ event: 'l2_load', state: 1 }),
      ...setState({ event: 'l2_update', new_state: 2 }),
    });
    fire(debug, 'l2_load');
    fire(debug, 'l2_update');
    fire(debug, 'l2_load');
    expect(await debug.read(0)).toBe(Errno.EIO);
  });

  it('lets the oldest of several active rules decide', async () => {
    const debug = debugNode(inject({ event: 'none', errno: 1 }, { event: 'none', errno: 2 }));
    fire(debug, 'none');
    expect(await debug.read(0)).toBe(1);
  });

  it('with errno 0 shields requests from the rules behind it', async () => {
    const debug = debugNode(inject({ event: 'none', errno: 0, sector: 0, once: true }, { event: 'none', errno: 28 }));
    fire(debug, 'none');
    expect([await debug.read(0), await debug.read(0), await debug.read(512)]).toEqual([0, 0, Errno.ENOSPC]);
  });

  it('with a negative errno ends the request as a success that has done nothing', async () => {
    const debug = debugNode(inject({ event: 'none', errno: '-5' }));
    fire(debug, 'none');
    expect([await debug.write(0), await debug.read(0)]).toEqual([0, 0]);
    expect(debug.calls.filter((call) => !call.startsWith('event'))).toEqual([]);
  });

  it('once goes away with the first error', async () => {
    const debug = debugNode(inject({ event: 'none', once: 'on' }));
    fire(debug, 'none');
    expect([await debug.read(0), await debug.read(0)]).toEqual([Errno.EIO, 0]);
    fire(debug, 'none');
    expect(await debug.read(0)).toBe(0);
    expect(book(debug).list()).toMatchObject([{ status: 'exhausted', active: false, injected: 1 }]);
  });

  it.each([
    [1, 0, 0],
    [1, 512, 5],
    [2, 0, 5],
    [4, 1536, 0],
  ])('with sector 1 and a read of %i sectors at %i gives errno %i', async (sectors, offset, errno) => {
    const debug = debugNode(inject({ event: 'none', sector: 1 }));
    fire(debug, 'none');
    expect(await debug.read(offset, sectors * 512)).toBe(errno);
  });

  it('with a sector never fails a flush, without one it does', async () => {
    for (const [sector, errno] of [
      ['0', 0],
      ['18446744073709551615', Errno.EIO],
    ]) {
      const debug = debugNode(inject({ event: 'none', sector: sector ?? null, iotype: 'flush' }));
      fire(debug, 'none');
      await debug.write(0);
      expect(await debug.errnoOf(() => flush(debug.node))).toBe(errno);
    }
  });

  it('counts the sector in 64 bits, as QEMU does', async () => {
    const debug = debugNode(inject({ event: 'none', sector: '36028797018963968' }));
    fire(debug, 'none');
    expect([await debug.read(0), await debug.read(512)]).toEqual([Errno.EIO, 0]);
  });

  const requests: Record<string, (debug: ReturnType<typeof debugNode>) => Pending> = {
    read: ({ child }) => preadv(child, 0, Buffer.alloc(512), 0),
    write: async (debug) => {
      if ((await debug.write(0)) !== 0) throw new Error('failed');
    },
    'write-zeroes': ({ child }) => pwriteZeroes(child, 0, 512, 0),
    discard: ({ child }) => pdiscard(child, 0, 512),
    flush: async ({ node }) => {
      node.writeGeneration += 1;
      await flush(node);
    },
    'block-status': async ({ node }) => {
      await blockStatus(node, true, 0, 512);
    },
  };
  const names = Object.keys(requests);

  async function failures(options: Record<string, OptionValue>): Promise<string[]> {
    const failed: string[] = [];
    for (const name of names) {
      const debug = debugNode(inject({ event: 'none', ...options }));
      fire(debug, 'none');
      const run = requests[name];
      const request = name === 'write' ? () => debug.write(0) : async () => debug.errnoOf(async () => run?.(debug));
      if ((await request()) !== 0) failed.push(name);
    }
    return failed;
  }

  it('fails every kind of I/O but block status', async () => {
    expect(await failures({})).toEqual(['read', 'write', 'write-zeroes', 'discard', 'flush']);
  });

  it.each(names)('with iotype %s fails that kind alone', async (ioType) => {
    expect(await failures({ iotype: ioType })).toEqual([ioType]);
  });

  it('has no answer for a block status with a negative errno, and says so instead of aborting', async () => {
    expect(await failures({ iotype: 'block-status', errno: '-5' })).toEqual(['block-status']);
  });

  it('fails one turn of the loop later, unless immediately', async () => {
    for (const immediately of ['on', 'off']) {
      const debug = debugNode(inject({ event: 'none', immediately }));
      fire(debug, 'none');
      const request = await debug.startWrite(0);
      expect(request.done).toBe(immediately === 'on');
      await settle(debug.loop);
      expect(debug.ended).toEqual(['write 0: 5']);
    }
  });
});

describe('set-state', () => {
  it('starts in state 1 and changes after all rules of the event were looked at', async () => {
    const debug = debugNode({
      ...setState({ event: 'write_aio', state: 1, new_state: 2 }),
      ...inject({ event: 'write_aio', state: 2, errno: 5 }),
    });
    fire(debug, 'write_aio');
    expect(await debug.write(0)).toBe(0);
    fire(debug, 'write_aio');
    expect(await debug.write(0)).toBe(Errno.EIO);
  });

  it('goes by the oldest of several rules', () => {
    const debug = debugNode(setState({ event: 'none', new_state: 2 }, { event: 'none', new_state: 3 }));
    fire(debug, 'none');
    expect(book(debug).state).toBe(2);
  });

  it('without new_state goes to state 0, which only rules of every state match', async () => {
    const debug = debugNode({ ...setState({ event: 'none' }), ...inject({ event: 'none', state: 0 }) });
    fire(debug, 'none');
    expect(book(debug).state).toBe(0);
    expect(await debug.read(0)).toBe(Errno.EIO);
  });

  it('remembers its changes, but not for ever', () => {
    const debug = debugNode(
      setState(
        { event: 'l2_load', new_state: 2 },
        { event: 'l2_update', new_state: 1 },
        { event: 'none', new_state: 1 },
      ),
    );
    fire(debug, 'none');
    expect(book(debug).stateChanges).toEqual([]);
    fire(debug, 'l2_load');
    expect(book(debug).stateChanges).toMatchObject([{ from: 1, to: 2, rule: 1, event: 'l2_load' }]);
    for (let round = 0; round < 1000; round += 1) {
      fire(debug, 'l2_update');
      fire(debug, 'l2_load');
    }
    expect(book(debug).stateChanges).toHaveLength(256);
    expect(book(debug).stateChanges.at(-1)).toMatchObject({ from: 1, to: 2 });
  });
});

describe('rules as they are seen', () => {
  it('are numbered, count their hits and say why they were skipped', async () => {
    const debug = debugNode({
      ...inject({ event: 'none', sector: 9 }, { event: 'none', state: 4, iotype: 'write' }),
      ...setState({ event: 'none', state: 1, new_state: 1 }),
    });
    fire(debug, 'none');
    await debug.read(0);
    expect(book(debug).list()).toEqual([
      {
        number: 1,
        kind: 'inject-error',
        event: 'none',
        effect: 'EIO',
        conditions: 'sector=9',
        settings: { event: 'none', errno: '5', sector: '9' },
        status: 'armed',
        active: true,
        hits: 1,
        injected: 0,
        lastSkip: { condition: 'sector', text: 'does not touch sector 9' },
      },
      {
        number: 2,
        kind: 'inject-error',
        event: 'none',
        effect: 'EIO',
        conditions: 'state=4 iotype=write',
        settings: { event: 'none', errno: '5', state: '4', iotype: 'write' },
        status: 'armed',
        active: false,
        hits: 0,
        injected: 0,
        lastSkip: { condition: 'state', text: 'not in state 4' },
      },
      {
        number: 3,
        kind: 'set-state',
        event: 'none',
        effect: '→1',
        conditions: 'state=1',
        settings: { event: 'none', new_state: '1', state: '1' },
        status: 'armed',
        active: false,
        hits: 1,
        injected: 0,
        lastSkip: null,
      },
    ]);
    await debug.read(9 * 512);
    expect(book(debug).list()[0]).toMatchObject({ injected: 1, lastSkip: null });
  });

  it('leave a trace of what they did, if somebody listens', async () => {
    const debug = debugNode({
      ...inject({ event: 'none', iotype: 'write' }),
      ...setState({ event: 'none', new_state: 2 }, { event: 'none', state: 7 }),
    });
    fire(debug, 'none');
    const records: object[] = [];
    const stop = debug.node.trace.subscribe(({ sequence: _s, timeNs: _t, request: _r, node: _n, ...detail }) => {
      records.push(detail);
    });
    debug.node.state.rules.state = 1;
    fire(debug, 'none');
    await debug.read(0);
    await debug.write(0);
    stop();
    await debug.write(0);
    const isOurs = (record: object) => !/request|event/.test((record as { kind: string }).kind);
    expect(records.filter(isOurs)).toEqual([
      { kind: 'rule-skip', rule: 3, event: 'none', reason: 'not in state 7' },
      { kind: 'rule-hit', rule: 2, event: 'none' },
      { kind: 'rule-hit', rule: 1, event: 'none' },
      { kind: 'state-change', from: 1, to: 2, rule: 2 },
      { kind: 'rule-skip', rule: 1, event: 'none', reason: 'not a write' },
      { kind: 'error-injected', rule: 1, errno: 5, root: 2, operation: 'test', fileOffset: 0, fileBytes: 512 },
    ]);
  });
});

describe('a table of rules', () => {
  it('does not look at the rules of other events', () => {
    const debug = debugNode();
    const { rules } = debug.node.state;
    const untouchable = {
      name: 'state',
      holds: (): boolean => {
        throw new Error('a rule of another event was looked at');
      },
      unmet: () => '',
    };
    for (const event of [Event.L2_LOAD, Event.COW_READ]) {
      rules.add(Object.assign(new InjectErrorRule({ event }), { when: [untouchable] }));
    }
    expect(debug.node.debugEvent(Event.PWRITEV)).toBeUndefined();
    expect(() => debug.node.debugEvent(Event.L2_LOAD)).toThrow('was looked at');
  });

  it('keeps the rest in order, whichever rule is removed next', () => {
    for (const order of permutations([1, 2, 3, 4])) {
      const { rules } = debugNode(inject(...[1, 2, 3, 4].map((errno) => ({ event: 'none', errno })))).node.state;
      const rest = new Map([...rules.all()].map((rule) => [rule.number, rule]));
      for (const number of order) {
        const rule = rest.get(number);
        if (rule !== undefined) rules.remove(rule);
        rest.delete(number);
        const found: number[] = [];
        for (let next = rules.newestOf[Event.NONE] ?? null; next !== null; next = next.older) found.push(next.number);
        expect(found).toEqual([...rest.keys()].reverse());
      }
    }
  });

  it('removes a rule from those that are active, too', async () => {
    const debug = debugNode(inject({ event: 'none', errno: 1 }, { event: 'none', errno: 2 }));
    fire(debug, 'none');
    const [first] = debug.node.state.rules.all();
    if (first !== undefined) debug.node.state.rules.remove(first);
    expect(await debug.read(0)).toBe(2);
  });
});

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}
