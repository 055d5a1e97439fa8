/** The monitor socket: clients, slow ones, permissions, what it refuses. */
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Event } from '../../../src/block/events/events.ts';
import { TraceBus } from '../../../src/block/events/trace.ts';
import { attachLines } from '../../../src/live/watch/attach-lines.ts';
import { Monitor } from '../../../src/live/watch/monitor.ts';
import type { SessionControl } from '../../../src/live/control/session-control.ts';
import { parseLine, type RecordingLine, WANT_LATEST } from '../../../src/live/record/schema.ts';
import { snapshot } from '../panel/snapshots.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';

const folder = useEmptyFolder();
let socketPath = '';
beforeEach(() => {
  socketPath = path.join(folder, 'monitor.sock');
});

const clock = { nowNs: () => performance.now() * 1e6, hostNs: () => 0, recentNs: 0, after: () => () => {} };

/** A session that serves no commands: these tests are about clients that watch. */
const noControl: SessionControl = {
  join: () => {},
  leave: () => {},
  command: () => Promise.reject(new Error('no commands')),
  isQuit: () => false,
  idleResult: () => ({ status: 0, stdout: '', stderr: '', unfinished: 0, suspended: 0, truncated: false }),
  interrupt: () => false,
  picture: () => [],
  complete: () => ({ candidates: [], word: '' }),
  exportClients: () => [],
  shutdown: () => {},
  end: () => {},
  tell: () => {},
};

async function openMonitor(at = socketPath) {
  const bus = new TraceBus(clock);
  const monitor = await Monitor.open(at, {
    bus,
    nowNs: clock.nowNs,
    snapshot: () => snapshot,
    program: 'test',
    command: [],
    control: noControl,
  });
  return { bus, monitor };
}

/** Resolves as soon as something holds; what it waits for is I/O of this process. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

/** A client that can stop reading. */
class Watcher {
  readonly lines: RecordingLine[] = [];
  readonly socket: Socket;
  hasEnded = false;
  #rest = '';

  constructor() {
    this.socket = connect(socketPath);
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.lines.push(parseLine(line) as RecordingLine);
    });
    this.socket.on('close', () => {
      this.hasEnded = true;
    });
  }

  kinds(): string[] {
    return this.lines.map(({ kind }) => kind);
  }
}

describe('the monitor', () => {
  it('gives everybody who comes the events of before that it remembers, as such', async () => {
    const { bus, monitor } = await openMonitor();
    bus.history.add(Event.PWRITEV, null, '#debug', true);
    const late = new Watcher();
    await until(() => late.lines.length === 3);
    expect(late.kinds()).toEqual(['header', 'snapshot', 'events']);
    expect(late.lines[2]).toMatchObject({ latest: [{ number: 1, event: 'pwritev', node: '#debug' }] });
    await monitor.close();
    await until(() => late.hasEnded);
  });

  it('gives everybody who comes the current snapshot first, and then what happens', async () => {
    const { bus, monitor } = await openMonitor();
    const early = new Watcher();
    await until(() => early.lines.length === 2);
    expect(early.kinds()).toEqual(['header', 'snapshot']);
    bus.emit(4, '#debug', { kind: 'event', event: 'pwritev' });
    await until(() => early.kinds().includes('event'));
    const late = new Watcher();
    await until(() => late.lines.length === 2);
    bus.emit(4, '#debug', { kind: 'resume', tag: 'A' });
    await until(() => early.kinds().includes('resume') && late.kinds().includes('resume'));
    expect(late.kinds().slice(0, 2)).toEqual(['header', 'snapshot']);
    expect(late.kinds()).not.toContain('event');
    expect(monitor.clientCount).toBe(2);
    await monitor.close();
    await until(() => early.hasEnded && late.hasEnded);
    expect(late.lines.at(-1)).toMatchObject({ kind: 'end', records: 2 });
    expect(late.lines.at(-2)).toMatchObject({ kind: 'snapshot' });
  });

  it('sends a snapshot when a rule has changed', async () => {
    const { bus, monitor } = await openMonitor();
    const watcher = new Watcher();
    await until(() => watcher.lines.length === 2);
    bus.emit(0, 'debug', { kind: 'rule-removed', rule: 1 });
    await until(() => watcher.lines.length === 4);
    expect(watcher.kinds().slice(2)).toEqual(['rule-removed', 'snapshot']);
    await monitor.close();
  });

  it('leaves the bus alone while nobody watches', async () => {
    const { bus, monitor } = await openMonitor();
    expect(bus.active).toBe(false);
    const watcher = new Watcher();
    await until(() => bus.active);
    watcher.socket.destroy();
    await until(() => !bus.active);
    expect(monitor.clientCount).toBe(0);
    await monitor.close();
  });

  it('a watcher that does not read costs a bounded backlog, and is told how much it missed', async () => {
    const { bus, monitor } = await openMonitor();
    const slow = new Watcher();
    const quick = new Watcher();
    await until(() => slow.lines.length === 2 && quick.lines.length === 2);
    slow.socket.pause();
    let count = 0;
    // 20 MB of records.
    for (let round = 0; round < 125; round += 1) {
      for (let at = 0; at < 2000; at += 1) bus.emit(4, '#debug', { kind: 'event', event: 'pwritev' });
      count += 2000;
      await new Promise(setImmediate);
    }
    bus.emit(4, '#debug', { kind: 'resume', tag: 'last' });
    count += 1;
    slow.socket.resume();
    await until(() => slow.kinds().includes('note'));
    const note = slow.lines.findIndex(({ kind }) => kind === 'note');
    expect(slow.kinds()[note + 1]).toBe('snapshot');
    await monitor.close();
    await until(() => slow.hasEnded && quick.hasEnded);
    for (const watcher of [slow, quick]) {
      const missed = watcher.lines.reduce((sum, line) => sum + (line.kind === 'note' ? line.dropped : 0), 0);
      const got = watcher.lines.filter((line) => 'sequence' in line).length;
      expect(missed + got).toBe(count);
      // What it got was waiting for it: a few megabytes at most.
      if (watcher === slow) expect(got * 80).toBeLessThan(8 << 20);
    }
  });

  it('a watcher that wants the latest events gets those now and then, and no record is made for it', async () => {
    const { bus, monitor } = await openMonitor();
    const watcher = new Watcher();
    watcher.socket.write(`${WANT_LATEST}\n`);
    await until(() => watcher.kinds().includes('events'));
    expect(bus.active).toBe(false);
    const newest = (): number => {
      const line = watcher.lines.findLast((one) => one.kind === 'events');
      return line?.latest[0]?.number ?? 0;
    };
    for (let round = 1; round <= 3; round += 1) {
      for (let at = 0; at < 5000; at += 1) bus.history.add(Event.PWRITEV, null, 'debug', true);
      await until(() => newest() === round * 5000);
    }
    // Nothing more comes while nothing happens.
    const { length } = watcher.kinds().filter((kind) => kind === 'events');
    expect(length).toBeLessThan(10);
    bus.history.annotate(0, { kind: 'suspend', tag: 'A' });
    await monitor.close();
    await until(() => watcher.hasEnded);
    expect(watcher.kinds().slice(-3)).toEqual(['events', 'snapshot', 'end']);
    const last = watcher.lines.findLast((one) => one.kind === 'events');
    expect(last?.latest[0]).toMatchObject({ number: 15_000, notes: [{ kind: 'suspend', tag: 'A' }] });
  });

  it('on the way out does not wait long for somebody who does not read', async () => {
    const { bus, monitor } = await openMonitor();
    const slow = new Watcher();
    await until(() => slow.lines.length === 2);
    slow.socket.pause();
    for (let at = 0; at < 50_000; at += 1) bus.emit(4, '#debug', { kind: 'event', event: 'pwritev' });
    const start = performance.now();
    await monitor.close();
    expect(performance.now() - start).toBeLessThan(2000);
    slow.socket.destroy();
  });
});

describe('the socket of the monitor', () => {
  it('is for its user alone, and goes away with the monitor', async () => {
    const mask = process.umask();
    const { monitor } = await openMonitor();
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(process.umask()).toBe(mask);
    await monitor.close();
    expect(existsSync(socketPath)).toBe(false);
  });

  it('is refused in a folder that others may change', async () => {
    const open = path.join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    await expect(openMonitor(path.join(open, 's'))).rejects.toThrow('others may change the folder');
    // With the sticky bit, as /tmp has it, no user can replace another's socket.
    chmodSync(open, 0o1777);
    const { monitor } = await openMonitor(path.join(open, 's'));
    await monitor.close();
  });

  it('is not taken from a session that lives, nor put in the place of a file', async () => {
    const { monitor } = await openMonitor();
    await expect(openMonitor()).rejects.toThrow('Address already in use');
    await monitor.close();
    writeFileSync(socketPath, 'precious');
    await expect(openMonitor()).rejects.toThrow('File exists');
    expect(statSync(socketPath).size).toBe(8);
  });

  it('replaces one that nobody listens on any more', async () => {
    // A server that is closed without its socket being removed: what a killed program leaves.
    const server = createServer();
    const left = path.join(folder, 'left.sock');
    await new Promise<void>((resolve) => server.listen(left, resolve));
    const { renameSync } = await import('node:fs');
    renameSync(left, socketPath);
    await new Promise((resolve) => server.close(resolve));
    expect(existsSync(socketPath)).toBe(true);
    const { monitor } = await openMonitor();
    await monitor.close();
  });

  it('has a short name in a folder that exists', async () => {
    await expect(openMonitor(path.join(folder, 'x'.repeat(120)))).rejects.toThrow('File name too long');
    await expect(openMonitor(path.join(folder, 'no', 's'))).rejects.toThrow('No such file or directory');
    await expect(openMonitor('')).rejects.toThrow("Could not listen on '': No such file or directory");
    writeFileSync(path.join(folder, 'file'), '');
    await expect(openMonitor(path.join(folder, 'file', 's'))).rejects.toThrow('Not a directory');
  });

  it('may be a number, which is no TCP port', async () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      const { monitor } = await openMonitor('12345');
      expect(statSync(path.join(folder, '12345')).isSocket()).toBe(true);
      let lines = '';
      const reading = attachLines('12345', (text) => {
        lines += text;
      });
      await until(() => monitor.clientCount === 1);
      await monitor.close();
      await reading;
      expect(lines).toContain('"kind":"end"');
    } finally {
      process.chdir(before);
    }
  });

  it('serves a client that closes its writing half, and drops one that is gone', async () => {
    const { bus, monitor } = await openMonitor();
    let text = '';
    const socket = connect({ path: socketPath, allowHalfOpen: true }, () => socket.end());
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    await until(() => text.split('"kind":"snapshot"').length > 2);
    bus.emit(4, 'debug', { kind: 'resume', tag: 'A' });
    await until(() => text.includes('"kind":"resume"'));
    expect(monitor.clientCount).toBe(1);
    socket.destroy();
    await until(() => {
      bus.emit(4, 'debug', { kind: 'resume', tag: 'B' });
      return monitor.clientCount === 0;
    });
    await monitor.close();
  });
});

describe('attaching', () => {
  it('to nobody says why', async () => {
    await expect(attachLines(socketPath, () => {})).rejects.toThrow(`Could not attach to '${socketPath}'`);
    await expect(attachLines('', () => {})).rejects.toThrow("Could not attach to '': No such file or directory");
  });

  it('without a terminal gives the lines as they come', async () => {
    const { bus, monitor } = await openMonitor();
    let text = '';
    const attached = attachLines(socketPath, (line) => {
      text += line;
    });
    await until(() => monitor.clientCount === 1);
    bus.emit(4, '#debug', { kind: 'event', event: 'pwritev' });
    await monitor.close();
    await attached;
    const kinds = text
      .trimEnd()
      .split('\n')
      .map((line) => parseLine(line)?.kind);
    expect(kinds).toEqual(['header', 'snapshot', 'event', 'snapshot', 'end']);
  });

  it('without a terminal tells a session that was killed from one that ended', async () => {
    const { monitor } = await openMonitor();
    const attached = attachLines(socketPath, () => {});
    await until(() => monitor.clientCount === 1);
    await monitor.close();
    expect(await attached).toBe(true);
    const server = createServer((socket) => socket.resume().end('{"kind":"header","schema":2}\n'));
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    expect(await attachLines(socketPath, () => {})).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ['', "No session of blkscope has answered at 's' within 0.02 s"],
    ['half of a line', "No session of blkscope has answered at 's' within 0.02 s"],
    ['220 mail.example ESMTP\n', 'The session sends what is no message: not JSON'],
    ['{"kind":"note","text":"","dropped":0}\n', 'The session sends what is no message: no header'],
    ['{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"full"}}\n', 'The session refuses: full'],
  ])('to what says %j and goes on listening is refused', async (text, message) => {
    const server = createServer((socket) => socket.resume().write(text));
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    await expect(attachLines(socketPath, () => {}, 20)).rejects.toThrow(message.replace("'s'", `'${socketPath}'`));
    await new Promise((resolve) => server.close(resolve));
  });
});
