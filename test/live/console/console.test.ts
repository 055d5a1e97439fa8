/** The second console: its commands, its views, its keys, on a terminal without a window. */
import { createServer } from 'node:net';
import path from 'node:path';
import type { Key } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsoleEnd, SecondConsole } from '../../../src/live/console/console.ts';
import { ControlLink } from '../../../src/live/control/control-link.ts';
import { unpainted } from '../../../src/util/style.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';
import { ControlRig } from '../control/control-rig.ts';
import { VirtualTerminal } from '../panel/virtual-terminal.ts';

const folder = useEmptyFolder();

/** A console whose screen a test looks at. */
class Console {
  readonly terminal: VirtualTerminal;
  readonly console: SecondConsole;
  readonly end: Promise<ConsoleEnd>;
  readonly history: string[] = [];

  private constructor(link: ControlLink, columns: number, rows: number, isAscii: boolean) {
    this.terminal = new VirtualTerminal(columns, rows);
    this.terminal.write('$ blkscope attach\r\n');
    this.console = new SecondConsole({
      link,
      socket: 's',
      write: this.terminal.write,
      size: { columns, rows },
      paint: unpainted,
      isAscii,
      history: { lines: this.history, add: (line) => this.history.unshift(line) },
    });
    this.end = this.console.run();
  }

  static async open(socketPath: string, columns = 100, rows = 30, isAscii = false): Promise<Console> {
    const console = new Console(await ControlLink.open(socketPath, 'attach'), columns, rows, isAscii);
    await console.until((screen) => screen.at(-1)?.startsWith('blkscope') === true);
    return console;
  }

  async until(wanted: (screen: readonly string[]) => boolean): Promise<readonly string[]> {
    for (;;) {
      await this.terminal.settle();
      const { screen } = this.terminal;
      if (wanted(screen)) return screen;
      await new Promise(setImmediate);
    }
  }

  untilRow(wanted: string | RegExp): Promise<readonly string[]> {
    return this.until((screen) => screen.some((row) => row.match(wanted)));
  }

  key(name: string, more: Partial<Key> = {}, text?: string): void {
    this.console.key(text, { name, ...more });
  }

  ctrl(name: string): void {
    this.key(name, { ctrl: true });
  }

  type(text: string): void {
    for (const character of text) this.key(/[a-z]/.test(character) ? character : '', {}, character);
  }

  /** Types a line; returns when the command has ended. */
  async run(line: string): Promise<readonly string[]> {
    this.type(line);
    this.key('return');
    return this.until((screen) => !screen.join('').includes('a command runs') && screen.includes(rowOf(screen, line)));
  }
}

const rowOf = (screen: readonly string[], line: string): string =>
  screen.slice(0, -1).find((row) => row.startsWith('blkscope') && row.endsWith(`> ${line}`)) ?? '(none)';

let rig: ControlRig;
let screen: Console;
beforeEach(async () => {
  rig = await ControlRig.make(folder);
  screen = await Console.open(rig.socketPath);
});
afterEach(async () => {
  screen.console.leave();
  await screen.end;
  await rig.end();
});

describe('commands', () => {
  it('run in the session, and their output scrolls below the panel', async () => {
    await screen.run('break pwritev A');
    await screen.run('write 0 512');
    const shown = await screen.untilRow(/^blkscope \[1 suspended\]>$/);
    expect(shown[0]).toMatch(/^┌ blkscope .*in flight 1 ── suspended 1 ┐?/);
    const at = shown.indexOf("blkdebug: Suspended request 'A'");
    expect(shown[at + 1]).toBe('(write is suspended at pwritev; "resume A" lets it go on)');
    await screen.run('resume A');
    await screen.untilRow(/^wrote 512\/512 bytes at offset 0$/);
    expect(rig.shell.out()).toBe('');
    expect(screen.history).toEqual(['resume A', 'write 0 512', 'break pwritev A']);
  });

  it('are edited, recalled and completed', async () => {
    screen.type('lenhtg');
    screen.key('left');
    screen.key('backspace');
    screen.key('end');
    screen.key('left');
    screen.ctrl('a');
    screen.ctrl('e');
    await screen.untilRow(/^blkscope> lenhg$/);
    screen.ctrl('u');
    screen.type('leng');
    screen.key('tab');
    await screen.untilRow(/^blkscope> length$/);
    screen.key('return');
    await screen.untilRow(/^1 MiB$/);
    screen.key('up');
    await screen.until((rows) => rows.at(-1) === 'blkscope> length');
    screen.key('down');
    screen.type('aio_');
    screen.key('tab');
    await screen.untilRow('aio_flush +aio_read +aio_write');
    screen.ctrl('w');
    await screen.until((rows) => rows.at(-1) === 'blkscope>');
  });

  it('wait for the one before them, and Ctrl-C ends it and drops them', async () => {
    screen.type('sleep 100000000');
    screen.key('return');
    await screen.untilRow('a command runs; Ctrl-C ends it');
    screen.type('write 0 512');
    screen.key('return');
    await screen.until(() => rig.began.length === 1);
    screen.ctrl('c');
    await screen.untilRow(/^ \? keys/);
    await screen.run('length');
    expect(rig.began).toEqual(['console 1: sleep 100000000', 'console 1: length']);
  });

  it('that would cancel suspended requests are confirmed', async () => {
    await screen.run('break pwritev A');
    await screen.run('aio_write 0 512');
    await screen.untilRow(/\[1 suspended\]>$/);
    screen.type('close');
    screen.key('return');
    await screen.untilRow(/^1 request is suspended; leave and cancel it\? \[y\/N\]/);
    screen.type('n');
    screen.key('return');
    await screen.untilRow(/\[1 suspended\]>$/);
    screen.type('close');
    screen.key('return');
    await screen.untilRow(/\[y\/N\]/);
    screen.type('y');
    screen.key('return');
    await screen.untilRow('no image');
  });
});

describe('views', () => {
  it('of the suspended requests resumes and cancels by a key', async () => {
    await screen.run('break pwritev A');
    await screen.run('aio_write 0 512');
    await screen.run('break pwritev "long tag"');
    await screen.run('aio_write 4k 512');
    screen.ctrl('s');
    await screen.untilRow(/^▸ long tag +w\d+ +write 512@4k +pwritev, console 1/);
    screen.key('down');
    await screen.untilRow(/^▸ A /);
    screen.key('c');
    await screen.until((rows) => rows.at(-1) === 'blkscope [1 suspended]>');
    screen.key('return');
    await screen.until((rows) => rows.at(-1) === 'blkscope>');
    await screen.untilRow('no request is suspended');
    screen.key('escape');
    const rows = await screen.untilRow('aio_write failed: Operation canceled');
    expect(rows).toContain('wrote 512/512 bytes at offset 4096');
  });

  it('of a session that has done something already shows it, and takes it for no rate', async () => {
    await screen.run('write -q 0 512');
    const second = await Console.open(rig.socketPath);
    expect(second.terminal.screen.join('\n')).toMatch(/EVENTS +\d+ in all +│/);
    expect(second.terminal.screen.join('\n')).not.toContain('none yet');
    second.console.leave();
    await second.end;
  });

  it('of the events follows, scrolls back and stands still then, and is filtered', async () => {
    for (let at = 0; at < 10; at += 1) await screen.run(`write -q ${at}k 512`);
    screen.ctrl('o');
    await screen.untilRow(/^EVENTS$/);
    await screen.untilRow(/#\d+ pwritev +w\d+ +write/);
    screen.key('pageup');
    const before = await screen.untilRow(/^EVENTS {2}\d+ later$/);
    rig.type('write -q 0 512');
    await screen.until((rows) => rows[0] !== before[0] || rows[2] !== before[2]);
    const at = before.findIndex((row) => row.startsWith('EVENTS'));
    expect(screen.terminal.screen.slice(at + 1, at + 5)).toEqual(before.slice(at + 1, at + 5));
    screen.type('/');
    await screen.untilRow(/^filter:$/);
    screen.type('flush_to_disk');
    screen.key('return');
    const rows = await screen.untilRow(/^EVENTS with "flush_to_disk"$/);
    await screen.until((all) => !all.slice(at + 1).some((row) => / pwritev /.test(row)));
    expect(rows.at(-2)).toContain('/ filters');
    screen.key('escape');
    await screen.untilRow(/^ \? keys/);
  });

  it('of the keys is shown by ? on an empty line, and of the output scrolls', async () => {
    screen.type('?');
    await screen.untilRow(/^Ctrl-S +the suspended requests/);
    screen.key('escape');
    screen.type('read -v 0 1k');
    screen.key('return');
    await screen.untilRow(/^read 1024/);
    screen.key('pageup');
    await screen.untilRow(/rows below/);
    screen.key('pagedown');
    screen.key('pagedown');
    await screen.untilRow(/^ \? keys ── s/);
    screen.ctrl('l');
    await screen.until((rows) => !rows.some((row) => row.startsWith('read 1024')));
  });
});

describe('the screen', () => {
  it.each([
    [60, 15],
    [80, 24],
    [200, 50],
    [40, 10],
    [10, 3],
    [1, 1],
  ])('of %d by %d cells is filled to its last row and no further', async (columns, rows) => {
    await screen.run('break pwritev A');
    await screen.run('aio_write 0 512');
    screen.terminal.resize(columns, rows);
    screen.console.resize({ columns, rows });
    for (const view of ['?', '/']) {
      screen.type(view);
      screen.key('escape');
    }
    for (const name of ['o', 's', 'o', 's']) screen.ctrl(name);
    screen.type(`write -P 7 ${'0'.repeat(300)}`);
    await screen.terminal.settle();
    screen.console.resize({ columns, rows });
    await screen.terminal.settle();
    expect(screen.terminal.scrollback).toEqual([]);
    const [column, row] = screen.terminal.cursor;
    expect(row).toBe(rows - 1);
    expect(column).toBeLessThan(columns);
    screen.console.resize({ columns: 100, rows: 30 });
    screen.terminal.resize(100, 30);
    screen.ctrl('u');
  });

  it('without UTF-8 is of ASCII', async () => {
    const ascii = await Console.open(rig.socketPath, 80, 24, true);
    await ascii.run('break pwritev A');
    await ascii.run('aio_write 0 512');
    ascii.ctrl('s');
    const rows = await ascii.untilRow(/^> A/);
    expect(rows.join('')).toMatch(/^[ -~]*$/);
    ascii.console.leave();
    await ascii.end;
  });

  it('is the user\u2019s again when the console ends', async () => {
    screen.key('d', { ctrl: true });
    expect(await screen.end).toBe('left');
    await screen.terminal.settle();
    expect(screen.terminal.screen[0]).toBe('$ blkscope attach');
    expect(screen.console.restore()).toBe('');
  });
});

describe('the end', () => {
  it.each(['quit', 'q', ' quit now'])('comes by %j, and leaves the session', async (line) => {
    screen.type(line);
    screen.key('return');
    expect(await screen.end).toBe('left');
    expect(rig.shell.session.quitRequested).toBe(false);
  });

  it('comes by Ctrl-C twice on an empty line', async () => {
    screen.type('x');
    screen.ctrl('c');
    screen.ctrl('c');
    await screen.untilRow('Ctrl-C again');
    screen.ctrl('c');
    expect(await screen.end).toBe('left');
  });

  it('comes with the session', async () => {
    await rig.end();
    expect(await screen.end).toBe('ended');
    rig = await ControlRig.make(folder);
  });
});

describe('a session that is none', () => {
  /** Attaches to a server that sends these lines. */
  async function attachTo(...lines: string[]): Promise<ConsoleEnd> {
    const socketPath = path.join(folder, 'other');
    const [first = '', ...more] = lines.map((line) => `${line}\n`);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      // The greeting at once, one line more for each method that is called.
      if (more.length === 0) socket.resume().end(lines.length === 0 ? '' : first);
      else socket.write(first);
      socket.on('data', () => {
        socket.write(more.shift() ?? '');
        if (more.length === 0) socket.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    try {
      const link = await ControlLink.open(socketPath, 'attach');
      const terminal = new VirtualTerminal(80, 24);
      const size = { columns: 80, rows: 24 };
      const history = { lines: [], add: () => {} };
      return await new SecondConsole({
        link,
        socket: 's',
        write: terminal.write,
        size,
        paint: unpainted,
        history,
      }).run();
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
  const header = '{"kind":"header","schema":2,"control":1}';
  const answer = '{"jsonrpc":"2.0","id":1,"result":{}}';

  it.each([
    [['hello'], 'The session sends what is no message: not JSON'],
    [['7'], 'The session sends what is no message: not an object'],
    [['{"kind":"header","schema":2}'], 'The session is of another version of blkscope'],
    [['{"kind":"header","schema":2,"control":9}'], 'The session is of another version of blkscope'],
    [[], 'The session has ended'],
    [[header], 'the session has ended'],
    [[header, '{"jsonrpc":"2.0","id":77,"result":{}}'], 'an answer to no call'],
    [[header, '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"full"}}'], 'The session refuses: full'],
    [
      [header, answer, '{"jsonrpc":"2.0","method":"snapshot","params":{"timeNs":"x"}}'],
      "'timeNs' of snapshot is missing or wrong",
    ],
  ])('that sends %j is an error in one line', async (lines, message) => {
    await expect(attachTo(...lines)).rejects.toThrow(message);
  });

  it('that goes without a word was killed', async () => {
    expect(await attachTo(header, answer)).toBe('killed');
  });
});
