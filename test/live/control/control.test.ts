/** The control socket: methods, their answers, what clients follow, and that none is in the way of another. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pictureNames } from '../../../src/live/control/session-control.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';
import { LineReader } from '../../../src/live/control/line-reader.ts';
import { ControlRig } from './control-rig.ts';
import { type RpcClient, until } from './rpc-client.ts';
import { mustFit } from './schema-check.ts';

const folder = useEmptyFolder();
let rig: ControlRig;
let client: RpcClient;
beforeEach(async () => {
  rig = await ControlRig.make(folder);
  client = rig.connect();
});
afterEach(() => rig.end());

const suspendedBy = (answer: { client?: string }[]): string[] => answer.map(({ client: name = 'own' }) => name);

describe('a command', () => {
  it('gives back output and status as the shell does', async () => {
    expect(await client.run('write -P 7 0 512')).toBe('wrote 512/512 bytes at offset 0\n512 bytes, 1 ops; TIME\n');
    expect(rig.shell.image()[5]).toBe(7);
    expect(await client.call('command', { line: 'nosuch' })).toMatchObject({
      status: 22,
      stderr: 'command "nosuch" not found\n',
    });
    expect(await client.call('command', { line: 'length' })).toMatchObject({ status: 0, stdout: '1 MiB\n' });
    // Nothing of it is printed where the session prints, and no failure is the session's.
    expect(rig.shell.out() + rig.shell.err()).toBe('');
    expect(rig.shell.session.exitStatus).toBe(0);
    expect(rig.began).toEqual(['console 1: write -P 7 0 512', 'console 1: nosuch', 'console 1: length']);
  });

  it('that meets a breakpoint is answered; its result comes when it ends, to the client that asked for it', async () => {
    await client.run('break pwritev A');
    const answer = await client.call('command', { line: 'write 0 512' });
    expect(answer).toMatchObject({
      status: 0,
      stdout: "blkdebug: Suspended request 'A'\n",
      unfinished: 1,
      suspended: 1,
    });
    expect(suspendedBy(await client.call('suspended'))).toEqual(['console 1']);
    const other = rig.connect();
    expect(await other.run('resume A')).toBe("blkdebug: Resuming request 'A'\n");
    await until(() => client.told('output').length > 0);
    const [late] = client.told('output');
    expect(late).toMatchObject({ stderr: '', unfinished: 0 });
    expect(late?.stdout).toMatch(/^wrote 512\/512 bytes at offset 0\n/);
  });

  it('leaves what the session itself has started to the session', async () => {
    rig.type('break pwritev A');
    rig.type('aio_write 0 512');
    await until(() => rig.shell.session.background.unfinished === 1);
    await until(() => rig.shell.session.suspendedLines().length === 1);
    rig.shell.out();
    expect(await client.run('resume A')).toBe("blkdebug: Resuming request 'A'\n");
    await until(() => rig.shell.session.background.unfinished === 0);
    expect(rig.shell.out()).toMatch(/^wrote 512/);
    expect(suspendedBy(await client.call('requests'))).toEqual([]);
  });

  it('of a client that has left reports to the one that resumes its request', async () => {
    await client.run('break pwritev A');
    await client.run('write 0 512');
    client.socket.destroy();
    await until(() => rig.monitor.clientCount === 0);
    const other = rig.connect();
    expect(await other.run('resume A')).toBe(
      "blkdebug: Resuming request 'A'\nwrote 512/512 bytes at offset 0\n512 bytes, 1 ops; TIME\n",
    );
  });

  it('may use what a prompt offers if the client says that it is a terminal', async () => {
    const line = 'read "0" 512 # all';
    expect((await client.call('command', { line })).status).not.toBe(0);
    expect((await client.call('command', { line, terminal: true })).status).toBe(0);
    const { stdout } = await client.call('command', { line: 'rules', terminal: true });
    expect(stdout).toBe('there are no rules\n');
  });

  it('draws tables as wide as the terminal of the client', async () => {
    await client.run('rule add inject-error event=write_aio errno=ENOSPC state=2 once=on');
    const widest = async (params: object): Promise<number> => {
      const { stdout } = await client.call('command', { line: 'rules', terminal: true, ...params });
      return Math.max(
        ...String(stdout)
          .split('\n')
          .map((line) => line.length),
      );
    };
    const whole = await widest({});
    expect(await widest({ columns: whole - 1 })).toBeLessThan(whole);
    expect((await client.answer(client.send('command', { line: 'rules', columns: -1 }))).error).toBeDefined();
  });

  it('that a terminal would confirm is refused until it is', async () => {
    await client.run('break pwritev A');
    await client.run('aio_write 0 512');
    const { error } = await client.answer(client.send('command', { line: 'close', terminal: true }));
    expect(error).toMatchObject({
      code: -32_002,
      data: { question: '1 request is suspended; leave and cancel it? [y/N] ' },
    });
    expect((await client.call('command', { line: 'close', terminal: true, confirmed: true })).status).toBe(0);
    expect(await client.run('length')).toBe("no file open, try 'help open'\n");
  });

  it('quit ends the connection, not the session', async () => {
    expect(await client.call('command', { line: 'quit' })).toMatchObject({ status: 0, stdout: '' });
    await until(() => client.hasEnded);
    expect(rig.shell.session.quitRequested).toBe(false);
    expect(await rig.connect().run('length')).toBe('1 MiB\n');
  });

  it('has a bounded output', async () => {
    writeFileSync(path.join(folder, 'much'), 'read -v 0 1M\n'.repeat(4));
    const answer = await client.call('command', { line: `source ${path.join(folder, 'much')}` });
    expect(answer.truncated).toBe(true);
    expect(answer.stdout.length).toBeLessThanOrEqual(8 << 20);
    expect((await client.call('command', { line: 'length' })).truncated).toBe(false);
  });
});

describe('several clients', () => {
  it('are served in the order of their commands, each between two lines of the session', async () => {
    const other = rig.connect();
    await other.call('version', { name: 'other' });
    const ids = [client.send('command', { line: 'sleep 50' }), client.send('command', { line: 'length' })];
    await until(() => rig.began.length === 1);
    const late = other.send('command', { line: 'write -q 0 512' });
    // A picture does not wait for commands.
    expect((await other.call('clients')).consoles).toHaveLength(2);
    rig.type('write 512 512');
    for (const id of ids) expect((await client.answer(id)).error).toBeUndefined();
    expect((await other.answer(late)).error).toBeUndefined();
    await until(() => rig.shell.out().startsWith('wrote 512'));
    expect(rig.began).toEqual(
      ['console 1: sleep 50', 'console 2: write -q 0 512', 'console 1: length'].toSorted(byOrder),
    );
  });

  it('interrupt their own command, and lose it when they leave', async () => {
    const endless = client.send('command', { line: 'sleep 100000000' });
    await until(() => rig.began.length === 1);
    const { client: name } = await rig.connect().call('version');
    expect(name).toBe('console 2');
    expect(await client.call('interrupt')).toEqual({ interrupted: true });
    expect((await client.answer(endless)).result).toMatchObject({ status: 4 });
    expect(await client.call('interrupt')).toEqual({ interrupted: false });
    const leaving = rig.connect();
    leaving.send('command', { line: 'sleep 100000000' });
    await until(() => rig.began.length === 2);
    leaving.socket.destroy();
    expect(await client.run('length')).toBe('1 MiB\n');
  });

  it('may be asked who is there', async () => {
    await client.call('version', { name: 'test' });
    const watcher = rig.connect();
    await until(() => rig.monitor.clientCount === 2 && watcher.greeting.length === 3);
    await client.call('subscribe', { to: ['events'] });
    const { consoles } = await client.call('clients');
    expect(consoles).toMatchObject([
      { client: 'console 1', label: 'test', follows: ['events'], calls: 3 },
      { client: 'console 2', label: '', follows: ['records'], calls: 0 },
    ]);
  });

  it('are so many and no more', async () => {
    const many = Array.from({ length: 70 }, () => rig.connect());
    await until(() => many.filter(({ hasEnded }) => hasEnded).length === 7);
    const refused = many.filter(({ hasEnded }) => hasEnded);
    expect(refused[0]?.messages).toMatchObject([{ id: null, error: { code: -32_000, message: 'too many clients' } }]);
    for (const one of many) one.socket.destroy();
    await until(() => rig.monitor.clientCount === 1);
    expect(await client.run('length')).toBe('1 MiB\n');
  });
});

/** The second console's command may come before or after the first one's second: both follow the first. */
function byOrder(a: string, b: string): number {
  return rig.began.indexOf(a) - rig.began.indexOf(b);
}

describe('pictures', () => {
  it('are those of the shell with -j', async () => {
    await client.run('break pwritev A');
    await client.run('aio_write 0 512');
    await client.run('rule add set-state event=flush_to_os new_state=2');
    for (const name of pictureNames) {
      const picture = await client.call(name);
      if (name === 'info') continue;
      const { stdout } = await client.call('command', { line: `${name} -j` });
      const withoutAges = (text: string): string => text.replaceAll(/"seconds":[\d.]+/g, '');
      expect(withoutAges(JSON.stringify(picture)), name).toBe(withoutAges(stdout.trim()));
    }
    expect(await client.call('info')).toMatchObject({
      format: 'raw',
      length: 1 << 20,
      clusterBytes: 0,
      specific: null,
    });
    const [event] = await client.call('events', { limit: 1, filter: 'suspended' });
    expect(event).toMatchObject({ event: 'pwritev', notes: ['suspended A'] });
    expect(await client.call('events', { counts: true })).toHaveLength(48);
    await client.run('resume A');
  });

  it('are refused with the reason', async () => {
    expect((await client.answer(client.send('rules', { node: 'nosuch' }))).error).toMatchObject({ code: -32_000 });
    await client.run('close');
    const { error } = await client.answer(client.send('suspended'));
    expect(error).toEqual({ code: -32_000, message: 'no image is open', data: { errno: 123 } });
    expect(await client.call('requests')).toEqual([]);
  });

  it('do not wait for a command', async () => {
    const endless = client.send('command', { line: 'sleep 100000000' });
    await until(() => rig.began.length === 1);
    const other = rig.connect();
    expect(await other.call('rules')).toEqual([]);
    expect(await other.call('complete', { line: 'wait_b' })).toEqual({ candidates: ['wait_break'], word: 'wait_b' });
    expect(await other.call('interrupt', { client: 'console 1' })).toEqual({ interrupted: true });
    await client.answer(endless);
  });
});

describe('a subscription', () => {
  const kinds = () => new Set(client.told('record').map(({ kind }) => kind));

  it('is of the records that are asked for, and they come before the answer of what caused them', async () => {
    await client.call('subscribe', { kinds: ['event', 'suspend'], events: ['pwritev'] });
    await client.run('break pwritev A');
    await client.run('aio_write 0 512');
    expect(kinds()).toEqual(new Set(['event', 'suspend']));
    expect(client.told('record').every(({ event }) => event === 'pwritev')).toBe(true);
    const [{ request } = {}] = client.told('record');
    await client.call('subscribe', { requests: [request], kinds: ['request-end', 'resume'] });
    await client.run('resume A');
    await client.run('write -q 4k 512');
    expect(
      client
        .told('record')
        .filter(({ kind }) => kind === 'request-end')
        .every((one) => one.request === request),
    ).toBe(true);
    expect(kinds()).toEqual(new Set(['event', 'suspend', 'resume', 'request-end']));
    await client.call('unsubscribe');
    const { length } = client.told('record');
    await client.run('write -q 4k 512');
    expect(client.told('record')).toHaveLength(length);
  });

  it('may be of one kind of I/O, or of one node', async () => {
    await client.call('subscribe', { iotypes: ['read'], kinds: ['request-begin'] });
    await client.run('write -q 0 512');
    await client.run('read -q 0 512');
    expect(new Set(client.told('record').map(({ operation }) => operation))).toEqual(new Set(['read']));
    const nodes = await client.call('nodes');
    await client.call('subscribe', { nodes: [nodes[0]?.node], kinds: ['request-begin'] });
    const { length } = client.told('record');
    await client.run('read -q 0 512');
    expect(client.told('record').slice(length)).toMatchObject([{ node: nodes[0]?.node }]);
  });

  it('of snapshots and events follows the session without a record being made', async () => {
    await client.call('subscribe', { to: ['snapshots', 'events'] });
    expect(client.told('snapshot')).toHaveLength(1);
    expect(rig.shell.session.context.trace.active).toBe(false);
    rig.type('break pwritev A');
    rig.type('aio_write 0 512');
    await until(() => client.told('snapshot').at(-1)?.suspendedCount === 1);
    await until(() => JSON.stringify(client.told('events').at(-1)).includes('"kind":"suspend"'));
  });

  it('does not build records for clients that want none', async () => {
    await client.call('version');
    expect(rig.shell.session.context.trace.active).toBe(false);
  });

  it('ends with the session', async () => {
    await client.call('subscribe', { to: ['snapshots'] });
    await client.call('shutdown');
    await rig.end();
    await until(() => client.hasEnded);
    expect(client.told('session-end')).toHaveLength(1);
    expect(client.told('snapshot').at(-1)).toMatchObject({ nodes: [] });
    rig = await ControlRig.make(folder);
  });
});

describe('what is no proper call', () => {
  it.each([
    ['garbage', -32_700],
    ['{"jsonrpc":"2.0","id":', -32_700],
    ['7', -32_600],
    ['[]', -32_600],
    ['{"id":1,"method":"version"}', -32_600],
    ['{"jsonrpc":"1.0","id":1,"method":"version"}', -32_600],
    ['{"jsonrpc":"2.0","id":{},"method":"version"}', -32_600],
    ['{"jsonrpc":"2.0","id":1,"method":7}', -32_600],
    ['{"jsonrpc":"2.0","id":1,"result":{}}', -32_600],
    ['{"jsonrpc":"2.0","id":1,"method":"version","params":["x"]}', -32_602],
    ['{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32_601],
    ['{"jsonrpc":"2.0","id":1,"method":"constructor"}', -32_601],
    ['{"jsonrpc":"2.0","id":1,"method":"command"}', -32_602],
    ['{"jsonrpc":"2.0","id":1,"method":"command","params":{"line":"a\\nb"}}', -32_602],
    ['{"jsonrpc":"2.0","id":1,"method":"rules","params":{"nod":"x"}}', -32_602],
    ['{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"kinds":["evnet"]}}', -32_602],
    ['[1]', -32_600],
  ])('%s is refused', async (text, code) => {
    client.say(text);
    await until(() => client.messages.length > 0);
    const answer = [client.messages[0]].flat()[0];
    expect(answer?.error?.code).toBe(code);
    // And the next one is served.
    expect((await client.call('version')).control).toBe(1);
  });

  it('is skipped if it is an empty line, and answered by silence if it wants no answer', async () => {
    client.say('\n \n{"jsonrpc":"2.0","method":"command","params":{"line":"write -q -P 9 0 512"}}');
    client.say('{"jsonrpc":"2.0","method":"nosuch"}');
    await client.call('version');
    expect(client.messages).toHaveLength(1);
    expect(rig.shell.image()[0]).toBe(9);
  });

  it('a batch is answered as a batch, in its order', async () => {
    const call = (id: number | undefined, line: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'command',
      params: { line },
    });
    client.say(JSON.stringify([call(7, 'length'), call(undefined, 'write -q 0 512'), call(9, 'nosuch'), 1]));
    await until(() => client.messages.length > 0);
    mustFit('fromSession', client.messages[0]);
    expect(client.messages[0]).toMatchObject([
      { id: 7 },
      { id: 9, result: { status: 22 } },
      { error: { code: -32_600 } },
    ]);
  });

  it('a message of 1 MiB is read, a longer one is refused, in one piece or in many', async () => {
    const longest = `"${'x'.repeat((1 << 20) - 2)}"\n`;
    client.socket.write(longest);
    await until(() => client.messages.length === 1);
    expect(client.messages).toMatchObject([{ error: { code: -32_600 } }]);
    client.socket.write(` ${longest}`);
    client.say('{"jsonrpc":"2.0","id":3,"method":"command","params":{"line":"write 0 512"}}');
    await until(() => client.hasEnded);
    expect(client.messages.slice(1)).toMatchObject([
      { id: null, error: { code: -32_700, message: 'a message is too long' } },
    ]);
    const lines = new LineReader(8);
    expect(lines.push(Buffer.from('a\n12345678\n123456789\nb\n'))).toEqual(['a', '12345678']);
    expect([lines.isTooLong, lines.push(Buffer.from('c\n')), lines.takeRest()]).toEqual([true, [], '']);
  });

  it('a message without end is refused, and the client is left', async () => {
    client.socket.write('x'.repeat((1 << 20) + 65_536));
    await until(() => client.hasEnded);
    expect(client.messages).toMatchObject([{ id: null, error: { code: -32_700, message: 'a message is too long' } }]);
    expect(await rig.connect().run('length')).toBe('1 MiB\n');
  });
});

describe('a client', () => {
  it('that closes its half gets its answers and then the end', async () => {
    client.say('{"jsonrpc":"2.0","id":1,"method":"command","params":{"line":"length"}}');
    client.socket.end();
    await until(() => client.hasEnded);
    expect(client.told('alive')).toContainEqual({});
    expect((await client.answer(1)).result).toMatchObject({ stdout: '1 MiB\n' });
  });

  it('that is gone while its calls wait, and nothing is read from it, is noticed, and its command ends', async () => {
    await rig.end();
    rig = await ControlRig.make(folder, { patienceMs: 200 });
    const gone = rig.connect();
    gone.send('command', { line: 'sleep 100000000' });
    for (let at = 0; at < 200; at += 1) gone.send('version');
    await until(() => rig.began.length === 1 && gone.told('alive').length > 0);
    gone.socket.destroy();
    expect(await rig.connect().run('length')).toBe('1 MiB\n');
    await until(() => rig.monitor.clientCount === 1);
  });

  it('that says nothing gets the lines of a recording', async () => {
    await until(() => client.greeting.length >= 2);
    expect(JSON.parse(client.greeting[0] ?? '')).toMatchObject({ kind: 'header', control: 1 });
    await rig.connect().run('write -q 0 512');
    await until(() => client.greeting.some((line) => line.includes('"kind":"request-end"')));
    expect(client.messages).toEqual([]);
  });

  it('that never reads is disconnected, which the session is told', async () => {
    await rig.end();
    rig = await ControlRig.make(folder, { patienceMs: 20 });
    const deaf = rig.connect();
    deaf.socket.pause();
    for (let at = 0; at < 10; at += 1) deaf.send('command', { line: 'read -v 0 64k' });
    await until(() => rig.told.length > 0);
    expect(rig.told).toEqual(['console 1: it does not read; disconnected']);
    expect(await rig.connect().run('length')).toBe('1 MiB\n');
    deaf.socket.destroy();
  });

  it('that is slow misses records, and is told how many', async () => {
    await client.call('subscribe', { kinds: ['event'] });
    client.socket.pause();
    const { trace } = rig.shell.session.context;
    const COUNT = 120_000;
    for (let at = 0; at < COUNT; at += 1) {
      trace.emit(4, '#debug', { kind: 'event', event: 'pwritev' });
      if (at % 1000 === 0) await new Promise(setImmediate);
    }
    client.socket.resume();
    await until(() => client.told('note').length > 0);
    await client.call('version');
    const [{ dropped } = {}] = client.told('note');
    expect(client.told('record').length + Number(dropped)).toBe(COUNT);
  });
});
